"""Which price a run goes by: that of its settings, or else the vendor's, from `prices.yaml`. None: unknown.

A vendor's price holds at the vendor's own address: who serves the same model elsewhere asks what they like.

>>> quoted(RunConfig(model="gpt-4.1-mini")).price.output
Decimal('1.6')
>>> quoted(RunConfig(model="gpt-4.1-mini", base_url="http://localhost:8000/v1")) is None
True
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import FREE, Price
from selfinstruct.errors import ConfigError

_OPENAI = "api.openai.com"
"""What is asked where no address is given."""
_DATED = re.compile(r"-\d{4}-?\d\d-?\d\d\Z")
_TABLE = Path(__file__).with_name("prices.yaml")

ADD_A_PRICE = "add --price-input and --price-output (dollars per million tokens), or --free"
"""What to do where the price is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotation:
    """A price, and where it is from."""

    price: Price
    batch_discount: Decimal | None = None
    """Share that the vendor's Batch API takes off; None where there is none, or it is unknown."""
    vendor: str = ""
    """"" where the settings alone say the price."""
    as_of: str = ""
    """When the source was right: "2025-07-04"; "" for the settings."""
    source: str = ""
    given: tuple[str, ...] = ()
    """The settings that replace the vendor's price, or a part of it."""

    def __str__(self) -> str:
        said = f"{self.vendor}, as of {self.as_of}" if self.vendor else ""
        if not self.given:
            return said
        return f"{said}, except {', '.join(self.given)}" if said else "as given"


def price_of(config: RunConfig) -> Price | None:
    """The price of the run's model; None where it is unknown. Raises ConfigError for half a price."""
    found = quoted(config)
    return found.price if found is not None else None


def require_price(config: RunConfig) -> Price:
    """The price, for a run that may cost so much and no more. Raises ConfigError where it is unknown."""
    price = price_of(config)
    if price is None:
        what = f"needs a price, and that of {_what(config)} is unknown"
        raise ConfigError("max_cost", f"{what}; {ADD_A_PRICE}")
    return price


def quoted(config: RunConfig, *, environ: Mapping[str, str] | None = None) -> Quotation | None:
    """The price with its source; None where it is unknown. Each setting replaces its part of the table's.

    Where no address is set, the one in `environ` counts, and else OpenAI's. Raises ConfigError where a part
    of the price is given and the rest is unknown, or cached tokens would cost more than others.
    """
    if config.free:
        return Quotation(price=FREE, given=("free",))
    found = _listed(config.model, _host(config, environ or {}))
    parts = {
        "price_input": config.price_input,
        "price_cached_input": config.price_cached_input,
        "price_output": config.price_output,
    }
    given = {name: _exactly(value) for name, value in parts.items() if value is not None}
    if not given:
        return found
    if found is None:
        missing = [name for name in ("price_input", "price_output") if name not in given]
        if missing:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
            what = f"is missing, and the price of {_what(config)} is unknown"
            raise ConfigError(missing[0], f"{what}; add {flags} (dollars per million tokens)")
    known = found.price if found is not None else FREE
    price_input = given.get("price_input", known.input)
    # What is in a cache costs no more than what is not, whatever the table says of another price.
    cached = min(known.cached_input, price_input) if found is not None else price_input
    cached = given.get("price_cached_input", cached)
    if cached > price_input:  # then what is reserved for a prompt would be no bound
        above = f"must not be above price_input, {price_input}; correct one of them"
        raise ConfigError("price_cached_input", above)
    return Quotation(
        price=Price(
            input=price_input,
            cached_input=cached,
            output=given.get("price_output", known.output),
        ),
        batch_discount=found.batch_discount if found is not None else None,
        vendor=found.vendor if found is not None else "",
        as_of=found.as_of if found is not None else "",
        source=found.source if found is not None else "",
        given=tuple(given),
    )


def _what(config: RunConfig) -> str:
    host = _host(config, {})
    return f"{config.model or 'the model'} at {host}"


def _host(config: RunConfig, environ: Mapping[str, str]) -> str:
    address = config.base_url or environ.get("OPENAI_BASE_URL", "").strip()
    return (urlsplit(address).hostname or "").lower() if address else _OPENAI


def _listed(model: str, host: str) -> Quotation | None:
    """What the table says of a model at a host."""
    prices = _table().get(host, {})
    return prices.get(model) or prices.get(_DATED.sub("", model))


@cache
def _table() -> Mapping[str, Mapping[str, Quotation]]:
    """The table: host → name of a model → quotation."""
    import yaml

    table: dict[str, dict[str, Quotation]] = {}
    for vendor in yaml.safe_load(_TABLE.read_text(encoding="utf-8")):
        for quotation in vendor["quotations"]:
            for model, prices in quotation["prices"].items():
                found = _quotation(vendor, quotation, prices)
                for host in vendor["hosts"]:
                    table.setdefault(host, {})[model] = found
                    table[host][vendor.get("prefix", "") + model] = found
    return table


def _quotation(
    vendor: Mapping[str, Any], quotation: Mapping[str, Any], prices: Mapping[str, Any]
) -> Quotation:
    discount = prices.get("batch_discount", vendor["batch_discount"])
    return Quotation(
        price=Price(
            input=_exactly(prices["input"]),
            cached_input=_exactly(prices.get("cached_input", prices["input"])),
            output=_exactly(prices["output"]),
        ),
        batch_discount=_exactly(discount) if discount is not None else None,
        vendor=vendor["vendor"],
        as_of=quotation["as_of"],
        source=quotation["source"],
    )


def _exactly(number: float) -> Decimal:
    """The number as it was written: 0.1 is a tenth, and not the float next to it."""
    return Decimal(repr(number))
