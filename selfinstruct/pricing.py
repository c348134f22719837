"""Which price a run goes by: that of its settings. None where nobody knows."""

from decimal import Decimal

from selfinstruct.config import RunConfig
from selfinstruct.cost import FREE, Price


def price_of(config: RunConfig) -> Price | None:
    """The price of the run's model; None where it is unknown."""
    if config.free:
        return FREE
    if config.price_input is None or config.price_output is None:
        return None
    given = config.price_input if config.price_cached_input is None else config.price_cached_input
    return Price(
        input=_exactly(config.price_input),
        cached_input=_exactly(given),
        output=_exactly(config.price_output),
    )


def _exactly(number: float) -> Decimal:
    """The number as it was written: 0.1 is a tenth, and not the float next to it."""
    return Decimal(repr(number))
