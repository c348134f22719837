"""Tests of reading settings, of their defaults, and of the fingerprint."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.config.budget_settings import BudgetSettings
from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.config.reading import load_settings, read_settings
from selfinstruct.config.recipe_settings import RecipeSettings
from selfinstruct.config.schema import BY_CONTENT, OPERATIONAL, RunConfig, fingerprint, plain
from selfinstruct.errors import ConfigError, InputError


def test_yaml_names_may_have_hyphens_or_underscores(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: m\nmax-concurrency: 8\nseed_tasks: mine.jsonl\ngenerate-top-p: null\n")
    assert read_settings(path) == {
        "model": "m",
        "max_concurrency": 8,
        "seed_tasks": tmp_path / "mine.jsonl",  # The path is relative to the settings file.
        "generate_top_p": None,
    }


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (" \t", r"^model: is blank; specify a model, for example --model gpt-5\.4-mini$"),
        ("\u3000", "^model: is blank"),
        (
            "gpt\n4",
            r"^model: contains invisible characters; use the name that the endpoint",
        ),
        ("gpt\x1b[2J", "^model: contains invisible characters"),
        ("gpt\u202e4", "^model: contains invisible characters"),
    ],
)
def test_a_model_name_must_be_visible(model: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        RunConfig(model=model)
    assert model not in str(caught.value).partition("model: ")[2] or not model.strip()
    assert RunConfig(model="an org/Qwen3 (größer):q4").model == "an org/Qwen3 (größer):q4"
    assert RunConfig(model="").model == ""


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_settings(tmp_path / "none.yaml")


def test_stored_settings_are_read_back() -> None:
    config = RunConfig(
        model="m",
        seed_tasks=Path("a/b.jsonl"),
        classify_temperature=None,
        extra_body={
            "chat_template_kwargs": {"enable_thinking": False},
            "stop": None,
            "x": [1, 2.5],
        },
        extra_header=("X-Title: a run", "api-key: $MY_KEY"),
    )
    assert RunConfig(**load_settings("stored", plain(config))) == config


CHANGES: dict[str, Any] = {
    "model": "other",
    "threshold": 0.8,
    "generate_top_p": 0.9,
    "seed_tasks": Path("other.jsonl"),
    "prompts": Path("other"),
    "profile": "paper",
    "api": "completions",
    "tokenizer": "rouge",
    "classification_seeds_only": True,
    "show_input": True,
    "base_url": "http://localhost/v1",
    "api_key_env": "OTHER_KEY",
    "extra_body": {"top_k": 20},
    "extra_header": ("X-Title: a run",),
    "token_limit": "max_completion_tokens",
    "price_input": 0.4,
    "price_cached_input": 0.1,
    "price_output": 1.6,
    "free": True,
    "max_cost": 20.0,
    "max_tokens_total": 10**6,
    "max_requests": 1000,
    "max_time_s": 3600.0,
    "max_requests_per_minute": 500,
    "max_tokens_per_minute": 200_000,
}


@pytest.mark.parametrize(
    "name",
    [field.name for field in dataclasses.fields(RunConfig) if field.name != "recipe"],
)
def test_only_data_settings_change_the_fingerprint(name: str) -> None:
    """Check each setting. Seed tasks and templates affect the fingerprint only through their hashes."""
    before = RunConfig(model="m")
    changed = CHANGES[name] if name in CHANGES else getattr(before, name) + 1
    after = dataclasses.replace(before, **{name: changed})

    prints = [
        fingerprint(plain(config), hashes={"seed_tasks.jsonl": "ab"}, versions={"rules": 1})
        for config in (before, after)
    ]
    assert (prints[0] == prints[1]) == (name in OPERATIONAL | BY_CONTENT)


def test_the_order_of_extra_members_does_not_matter() -> None:
    prints = {
        fingerprint(plain(RunConfig(model="m", extra_body=body)), hashes={}, versions={})
        for body in ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    }
    assert len(prints) == 1
    assert plain(RunConfig(model="m", extra_body={})) == plain(RunConfig(model="m"))


def test_contents_and_versions_change_the_fingerprint() -> None:
    settings = plain(RunConfig(model="m"))
    prints = {
        fingerprint(settings, hashes={"seed_tasks.jsonl": content}, versions={"rules": version})
        for content in ("ab", "cd")
        for version in (1, 2)
    }
    assert len(prints) == 4


def test_a_default_can_depend_on_another_setting() -> None:
    assert RunConfig(model="m").generate_temperature == 0.7
    assert RunConfig(model="m", recipe="alpaca").generate_temperature == 1.0
    assert RunConfig(model="m", profile="paper").tokenizer == "rouge"
    assert RunConfig(model="m", recipe="alpaca").given() == {"model": "m", "recipe": "alpaca"}
    assert RunConfig(model="m", seed=7).changed(recipe="alpaca").given() == {
        "model": "m",
        "recipe": "alpaca",
        "seed": 7,
    }
    explicit = RunConfig(model="m", recipe="alpaca", generate_temperature=0.7)
    assert explicit.given()["generate_temperature"] == 0.7


def test_every_recipe_can_omit_a_parameter() -> None:
    assert RunConfig(model="m", generate_presence_penalty=None).generate_presence_penalty is None
    assert RunConfig(model="m", recipe="alpaca").generate_presence_penalty is None


def test_the_operational_settings_are_listed() -> None:
    """Check the list of operational settings, because all other settings belong to the fingerprint."""
    assert {
        "api_key_env",
        "base_url",
        "confirm_above",
        "connect_timeout_s",
        "extra_header",
        "free",
        "give_up_after_s",
        "max_attempts",
        "max_concurrency",
        "max_cost",
        "max_requests",
        "max_requests_per_minute",
        "max_time_s",
        "max_tokens_per_minute",
        "max_tokens_total",
        "num_instructions",
        "price_cached_input",
        "price_input",
        "price_output",
        "request_timeout_s",
        "stall_after",
        "token_limit",
    } == OPERATIONAL


@pytest.mark.parametrize(
    ("number", "lag"), [(1, 4), (8, 4), (9, 4), (10, 5), (100, 50), (1024, 512), (10_000, 512)]
)
def test_the_lag_grows_between_its_bounds(number: int, lag: int) -> None:
    assert RunConfig(model="m").lag(number) == lag


def test_later_requests_never_see_a_smaller_pool() -> None:
    config = RunConfig(model="m")
    seen = [number - config.lag(number) for number in range(1, 3000)]
    assert seen == sorted(seen)


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_setting_is_in_one_group() -> None:
    groups = (RecipeSettings, EndpointSettings, BudgetSettings)
    names = [spec.name for group in groups for spec in dataclasses.fields(group)]
    assert sorted(names) == sorted(spec.name for spec in RunConfig.specs())
    for group in groups:
        assert isinstance(RunConfig(model="m"), group)


def test_a_group_checks_its_settings() -> None:
    with pytest.raises(ConfigError, match="max_concurrency: must be between 1 and 4096, not 0"):
        EndpointSettings(model="m", max_concurrency=0)
    assert RecipeSettings(recipe="alpaca").generate_max_tokens == 3072
