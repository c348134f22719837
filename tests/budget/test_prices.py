"""Test a run's price: settings replace parts of the listed price."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from selfinstruct.budget.prices import price_of, quotation_for, require_price
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
def test_a_vendors_price_applies_at_its_address(settings: dict[str, Any]) -> None:
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
def test_similar_names_and_other_addresses_have_no_price(settings: dict[str, Any]) -> None:
    assert quotation_for(config(**settings)) is None


def test_models_of_one_family_have_different_prices() -> None:
    prices = {
        name: price_of(config(name))
        for name in ("gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4o", "gpt-4o-2024-05-13")
    }
    assert None not in prices.values()
    assert len({price.output for price in prices.values() if price is not None}) == len(prices)


def test_a_dated_name_may_have_its_own_price() -> None:
    assert price_of(config("gpt-4o-2024-08-06")) == price_of(config("gpt-4o"))
    assert price_of(config("gpt-4o-2024-05-13")) != price_of(config("gpt-4o"))


def test_a_prefix_works_at_its_vendor_only() -> None:
    google = "https://generativelanguage.googleapis.com/v1beta/openai/"
    plain = quotation_for(config("gemini-2.5-flash", base_url=google))
    assert plain is not None
    assert quotation_for(config("models/gemini-2.5-flash", base_url=google)) == plain
    assert quotation_for(config("models/gpt-4.1-mini")) is None


def test_each_setting_replaces_its_part_of_the_price() -> None:
    assert price_of(config(price_output=1.2)) == Price(
        input=MINI.input, cached_input=MINI.cached_input, output=Decimal("1.2")
    )
    assert price_of(config(price_input=0.3, price_cached_input=0.05)) == Price(
        input=Decimal("0.3"), cached_input=Decimal("0.05"), output=MINI.output
    )
    found = quotation_for(config(price_output=1.2))
    assert found is not None
    assert (found.overrides, found.vendor) == (("price_output",), "OpenAI")
    assert str(found) == "OpenAI, as of 2025-07-04, except price_output"


def test_cached_tokens_never_cost_more_than_others() -> None:
    price = price_of(config(price_input=0.05))
    assert price is not None
    assert price.cached_input == Decimal("0.05")


def test_a_complete_price_needs_no_list() -> None:
    price = price_of(config("mine", price_input=0.1, price_output=0.3))
    assert price == Price(input=Decimal("0.1"), cached_input=Decimal("0.1"), output=Decimal("0.3"))
    found = quotation_for(config("mine", price_input=0.1, price_output=0.3))
    assert found is not None
    assert (str(found), found.batch_discount) == ("as given", None)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        (
            {"price_output": 1.0},
            "price_input: is missing, and the price of mine at api.openai.com is unknown; add --price-input",
        ),
        ({"price_input": 1.0}, "price_output: is missing, .* add --price-output "),
        ({"price_cached_input": 1.0}, "add --price-input and --price-output"),
    ],
)
def test_half_a_price_is_an_error(parts: dict[str, float], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem.replace("(", r"\(").replace(")", r"\)")):
        price_of(config("mine", **parts))


def test_free_replaces_the_price_list() -> None:
    assert price_of(config(free=True)) == FREE
    assert price_of(config("mine", free=True)) == FREE


def test_a_cost_limit_needs_a_known_price() -> None:
    with pytest.raises(ConfigError) as caught:
        require_price(config("qwen3", base_url="https://gateway.example/v1", max_cost=20))
    assert str(caught.value) == (
        "max_cost: needs a price, but the price of qwen3 at gateway.example is unknown; "
        "add --price-input and --price-output (dollars per million tokens), or --free"
    )
    assert require_price(config(max_cost=20)) == MINI


def test_the_environment_may_set_the_address() -> None:
    local = {"OPENAI_BASE_URL": "http://localhost:8000/v1"}
    assert quotation_for(config(), environ=local) is None
    assert quotation_for(config(base_url=OPENAI), environ=local) is not None
    assert quotation_for(config(), environ={"OPENAI_BASE_URL": " "}) is not None


@given(
    st.decimals(min_value=0, max_value=1000, places=6),
    st.decimals(min_value=0, max_value=1000, places=6),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_prices_and_costs_are_exact(
    input_: Decimal, output: Decimal, prompt: int, reply: int
) -> None:
    price = price_of(config("mine", price_input=float(input_), price_output=float(output)))
    assert price is not None
    assert (price.input, price.output) == (input_, output)
    consumption = Consumption(prompt_tokens=prompt, completion_tokens=reply)
    assert price.cost(consumption) * 10**6 == prompt * input_ + reply * output


def test_every_line_of_the_list_is_complete() -> None:
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
                assert quotation_for(config(model, base_url=base_url)) is not None
    assert len(names) > 40


def test_a_cached_price_above_the_input_is_an_error() -> None:
    dearer = config("mine", price_input=1.0, price_cached_input=1.5, price_output=2.0)
    with pytest.raises(ConfigError, match="price_cached_input: must not be higher than"):
        price_of(dearer)
