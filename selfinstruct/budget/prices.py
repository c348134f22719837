"""Find a run's price: in its settings, or in the price list `prices.yaml`; otherwise it is unknown (None).

A vendor's price applies only at the vendor's own address, because other hosts of the same model charge other
prices.

>>> quotation_for(EndpointSettings(model="gpt-5.4-mini")).price.output
Decimal('4.5')
>>> quotation_for(EndpointSettings(model="gpt-5.4-mini", base_url="http://localhost:8000/v1")) is None
True
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.cost import FREE, Price
from selfinstruct.errors import ConfigError

_OPENAI = "api.openai.com"
"""Host that a run uses if no address is set."""
_DATED = re.compile(r"-\d{4}-?\d\d-?\d\d\Z")
_TABLE = Path(__file__).with_name("prices.yaml")

_SETTINGS = ("price_input", "price_cached_input", "price_output")

ADD_A_PRICE = "add --price-input and --price-output (dollars per million tokens), or --free"
"""What a user can do if the price is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotation:
    """A price, and where it comes from."""

    price: Price
    batch_discount: Decimal | None = None
    """Discount of the vendor's Batch API, as a fraction of the price; None if it is unknown or zero."""
    vendor: str = ""
    """Vendor in the price list; "" if the price comes only from the settings."""
    as_of: str = ""
    """Date of the source, such as "2025-07-04"; "" if the price comes only from the settings."""
    source: str = ""
    """Address of the page with the price; "" if the price comes only from the settings."""
    overrides: tuple[str, ...] = ()
    """Names of the settings that replace parts of the vendor's price."""

    def __str__(self) -> str:
        source = f"{self.vendor}, as of {self.as_of}" if self.vendor else ""
        if not self.overrides:
            return source
        return f"{source}, except {', '.join(self.overrides)}" if source else "as given"


def price_of(config: EndpointSettings) -> Price | None:
    """Return the price of a run's model, or None if it is unknown.

    Raises ConfigError if the settings specify only part of the price; see `quotation_for`.
    """
    quotation = quotation_for(config)
    return quotation.price if quotation is not None else None


def require_price(config: EndpointSettings) -> Price:
    """Return the price for a run with a cost limit. Raises ConfigError if the price is unknown."""
    price = price_of(config)
    if price is None:
        problem = f"needs a price, but the price of {_name(config)} is unknown"
        raise ConfigError("max_cost", f"{problem}; {ADD_A_PRICE}")
    return price


def quotation_for(
    config: EndpointSettings, *, environ: Mapping[str, str] | None = None
) -> Quotation | None:
    """Return a run's price with its source, or None if the price is unknown.

    Settings replace parts of a listed price. If the settings have no address, the address in `environ` is
    used, and otherwise OpenAI's. Raises ConfigError if the settings specify only part of the price and the
    rest is unknown, or if cached tokens would cost more than uncached tokens.
    """
    if config.free:
        return Quotation(price=FREE, overrides=("free",))
    listed = _listed(config.model, _host(config, environ or {}))
    settings = ((name, getattr(config, name)) for name in _SETTINGS)
    given = {name: _exact(value) for name, value in settings if value is not None}
    if not given:
        return listed
    missing = [name for name in ("price_input", "price_output") if name not in given]
    if listed is None and missing:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in missing)
        problem = f"is missing, and the price of {_name(config)} is unknown"
        raise ConfigError(missing[0], f"{problem}; add {flags} (dollars per million tokens)")
    base = listed if listed is not None else Quotation(price=FREE)
    price_input = given.get("price_input", base.price.input)
    # A cached token costs no more than an uncached one, even if the list has a higher price for it.
    cached = price_input if listed is None else min(base.price.cached_input, price_input)
    cached = given.get("price_cached_input", cached)
    if cached > price_input:  # a reservation counts no token as cached, so it would be too small
        problem = f"must not be higher than price_input ({price_input}); correct one of them"
        raise ConfigError("price_cached_input", problem)
    output = given.get("price_output", base.price.output)
    price = Price(input=price_input, cached_input=cached, output=output)
    return replace(base, price=price, overrides=tuple(given))


def _name(config: EndpointSettings) -> str:
    return f"{config.model or 'the model'} at {_host(config, {})}"


def _host(config: EndpointSettings, environ: Mapping[str, str]) -> str:
    address = config.base_url or environ.get("OPENAI_BASE_URL", "").strip()
    return (urlsplit(address).hostname or "").lower() if address else _OPENAI


def _listed(model: str, host: str) -> Quotation | None:
    """Return the listed price of a model at a host, or None if it is not listed."""
    prices = _table().get(host, {})
    return prices.get(model) or prices.get(_DATED.sub("", model))


@cache
def _table() -> Mapping[str, Mapping[str, Quotation]]:
    """Return the price list as a mapping from host to model to quotation."""
    import yaml

    table: dict[str, dict[str, Quotation]] = {}
    for vendor in yaml.safe_load(_TABLE.read_text(encoding="utf-8")):
        for quotation in vendor["quotations"]:
            for model, prices in quotation["prices"].items():
                listed = _quotation(vendor, quotation, prices)
                for host in vendor["hosts"]:
                    table.setdefault(host, {})[model] = listed
                    table[host][vendor.get("prefix", "") + model] = listed
    return table


def _quotation(
    vendor: Mapping[str, Any], quotation: Mapping[str, Any], prices: Mapping[str, Any]
) -> Quotation:
    discount = prices.get("batch_discount", vendor["batch_discount"])
    return Quotation(
        price=Price(
            input=_exact(prices["input"]),
            cached_input=_exact(prices.get("cached_input", prices["input"])),
            output=_exact(prices["output"]),
        ),
        batch_discount=_exact(discount) if discount is not None else None,
        vendor=vendor["vendor"],
        as_of=quotation["as_of"],
        source=quotation["source"],
    )


def _exact(number: float) -> Decimal:
    """Return the number exactly as it was written, so that 0.1 is one tenth."""
    return Decimal(repr(number))
