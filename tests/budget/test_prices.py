"""Which price a run goes by: settings over the table, each by itself; and who has no price."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from selfinstruct.budget.prices import price_of, quoted, require_price
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import FREE, Consumption, Price
from selfinstruct.errors import ConfigError

OPENAI = "https://api.openai.com/v1"
MINI = Price(input=Decimal("0.4"), cached_input=Decimal("0.1"), output=Decimal("1.6"))


def config(model: str = "gpt-4.1-mini", **settings: Any) -> RunConfig:
    return RunConfig(model=model, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"base_url": OPENAI},
        {"base_url": "https://API.OpenAI.com:443/v1/"},
        {"model": "gpt-4.1-mini-2025-04-14"},
    ],
)
def test_a_model_at_its_vendors_address_has_the_vendors_price(settings: dict[str, Any]) -> None:
    assert price_of(config(**settings)) == MINI


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "gpt-4.1-mini-fast"},
        {"model": "gpt-4.1-mini-2025"},
        {"model": "ft:gpt-4.1-mini-2025-04-14:somebody::1"},
        {"model": "openai/gpt-4.1-mini"},
        {"model": "GPT-4.1-mini"},
        {"model": "gpt-4"},
        {"model": "gpt-4.1-"},
        {"model": ""},
        {"base_url": "http://localhost:8000/v1"},
        {"base_url": "https://openrouter.ai/api/v1"},
        {"base_url": "https://eu.api.openai.com/v1"},
        {"base_url": "https://api.openai.com.evil.example/v1"},
        {"base_url": "https://api.deepseek.com"},
    ],
)
def test_look_alikes_and_other_addresses_have_no_price(settings: dict[str, Any]) -> None:
    assert quoted(config(**settings)) is None


def test_names_that_begin_alike_have_prices_of_their_own() -> None:
    prices = {
        name: price_of(config(name))
        for name in ("gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4o", "gpt-4o-2024-05-13")
    }
    assert None not in prices.values()
    assert len({price.output for price in prices.values() if price is not None}) == len(prices)


def test_a_dated_name_with_a_line_of_its_own_is_not_its_family() -> None:
    assert price_of(config("gpt-4o-2024-08-06")) == price_of(config("gpt-4o"))
    assert price_of(config("gpt-4o-2024-05-13")) != price_of(config("gpt-4o"))


def test_a_prefix_counts_only_where_the_vendor_has_one() -> None:
    google = "https://generativelanguage.googleapis.com/v1beta/openai/"
    plain = quoted(config("gemini-2.5-flash", base_url=google))
    assert plain is not None
    assert quoted(config("models/gemini-2.5-flash", base_url=google)) == plain
    assert quoted(config("models/gpt-4.1-mini")) is None


def test_each_setting_replaces_its_part_of_the_price() -> None:
    assert price_of(config(price_output=1.2)) == Price(
        input=MINI.input, cached_input=MINI.cached_input, output=Decimal("1.2")
    )
    assert price_of(config(price_input=0.3, price_cached_input=0.05)) == Price(
        input=Decimal("0.3"), cached_input=Decimal("0.05"), output=MINI.output
    )
    found = quoted(config(price_output=1.2))
    assert found is not None
    assert (found.given, found.vendor) == (("price_output",), "OpenAI")
    assert str(found) == "OpenAI, as of 2025-07-04, except price_output"


def test_what_is_cached_never_costs_more_than_what_is_not() -> None:
    price = price_of(config(price_input=0.05))
    assert price is not None
    assert price.cached_input == Decimal("0.05")


def test_a_price_that_is_given_whole_needs_no_table() -> None:
    price = price_of(config("mine", price_input=0.1, price_output=0.3))
    assert price == Price(input=Decimal("0.1"), cached_input=Decimal("0.1"), output=Decimal("0.3"))
    found = quoted(config("mine", price_input=0.1, price_output=0.3))
    assert found is not None
    assert (str(found), found.batch_discount) == ("as given", None)


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        (
            {"price_output": 1.0},
            "price_input: is missing, and the price of mine at api.openai.com is unknown; add --price-input",
        ),
        ({"price_input": 1.0}, "price_output: is missing, .* add --price-output "),
        ({"price_cached_input": 1.0}, "add --price-input and --price-output"),
    ],
)
def test_half_a_price_is_an_error_that_says_what_to_add(
    given_settings: dict[str, float], said: str
) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(").replace(")", r"\)")):
        price_of(config("mine", **given_settings))


def test_free_is_free_whatever_the_table_says() -> None:
    assert price_of(config(free=True)) == FREE
    assert price_of(config("mine", free=True)) == FREE


def test_a_limit_in_dollars_without_a_price_is_refused_with_what_to_add() -> None:
    with pytest.raises(ConfigError) as refused:
        require_price(config("qwen3", base_url="https://gateway.example/v1", max_cost=20))
    assert str(refused.value) == (
        "max_cost: needs a price, and that of qwen3 at gateway.example is unknown; "
        "add --price-input and --price-output (dollars per million tokens), or --free"
    )
    assert require_price(config(max_cost=20)) == MINI


def test_the_address_in_the_environment_counts_where_none_is_set() -> None:
    local = {"OPENAI_BASE_URL": "http://localhost:8000/v1"}
    assert quoted(config(), environ=local) is None
    assert quoted(config(base_url=OPENAI), environ=local) is not None
    assert quoted(config(), environ={"OPENAI_BASE_URL": " "}) is not None


@given(
    st.decimals(min_value=0, max_value=1000, places=6),
    st.decimals(min_value=0, max_value=1000, places=6),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_a_price_is_what_was_written_and_costs_add_up_exactly(
    asked: Decimal, written: Decimal, prompt: int, reply: int
) -> None:
    price = price_of(config("mine", price_input=float(asked), price_output=float(written)))
    assert price is not None
    assert (price.input, price.output) == (asked, written)
    consumption = Consumption(prompt_tokens=prompt, completion_tokens=reply)
    assert price.cost(consumption) * 10**6 == prompt * asked + reply * written


def test_every_line_of_the_table_is_whole() -> None:
    table = yaml.safe_load((ROOT / "selfinstruct/budget/prices.yaml").read_text(encoding="utf-8"))
    assert len({vendor["vendor"] for vendor in table}) == len(table)
    names: set[tuple[str, str]] = set()
    for vendor in table:
        for quotation in vendor["quotations"]:
            as_of = quotation["as_of"]
            assert date.fromisoformat(as_of if len(as_of) == 10 else f"{as_of}-01")
            assert quotation["source"].startswith("https://")
            for model, prices in quotation["prices"].items():
                assert prices.keys() <= {"input", "cached_input", "output", "batch_discount"}
                assert 0 <= prices.get("cached_input", 0) <= prices["input"] <= prices["output"]
                assert (vendor["vendor"], model) not in names
                names.add((vendor["vendor"], model))
                base_url = f"https://{vendor['hosts'][0]}/v1"
                assert quoted(config(model, base_url=base_url)) is not None
    assert len(names) > 40


def test_tokens_from_a_cache_cannot_cost_more_than_others() -> None:
    dearer = config("mine", price_input=1.0, price_cached_input=1.5, price_output=2.0)
    with pytest.raises(ConfigError, match="price_cached_input: must not be above"):
        price_of(dearer)
