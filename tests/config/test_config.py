"""Settings: declared once, checked once, and a fingerprint that changes exactly with what matters."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.config.reading import load_settings, read_settings
from selfinstruct.config.schema import BY_CONTENT, OPERATIONAL, RunConfig, fingerprint, plain
from selfinstruct.errors import ConfigError, InputError


def test_settings_are_read_from_yaml_with_hyphens_and_underscores_alike(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: m\nmax-concurrency: 8\nseed_tasks: mine.jsonl\ngenerate-top-p: null\n")
    assert read_settings(path) == {
        "model": "m",
        "max_concurrency": 8,
        "seed_tasks": tmp_path / "mine.jsonl",  # relative to the file that names it
        "generate_top_p": None,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("treshold: 0.8", r"run.yaml: treshold: no such setting; did you mean threshold\?"),
        ("threshold: high", r"run.yaml: threshold: must be a number, not 'high'"),
        ("threshold: 7", r"run.yaml: threshold: must lie between 0 and 1, not 7"),
        ("num_instructions: '5'", r"run.yaml: num_instructions: must be a whole number, not '5'"),
        ("model: m\nnum-instructions: 5\nnum_instructions: 6", r"num_instructions: is given twice"),
        ("model: 7", r"run.yaml: model: must be text, not 7"),
        ("show_input: 1", r"run.yaml: show_input: must be true or false, not 1"),
        ("threshold: null", r"run.yaml: threshold: must be a number, not null"),
        ("model:", r"run.yaml: model: must be text, not null"),
        ("seed: true", r"run.yaml: seed: must be a whole number, not true"),
        ("model: 2024-01-01", r"model: must be text, not the date 2024-01-01; put it in q"),
        ("- model", r"run.yaml: settings: expected a mapping"),
        ("base_url: http://[::1/v1", r"run.yaml: base_url: must be an address such as"),
        ("base_url: http://localhost:99999/v1", r"run.yaml: base_url: must be an address such as"),
        (
            "api_key_env: sk-proj-1",
            r"must be the name of an environment variable, such as [A-Z_]+$",
        ),
        ("threshold: .nan", r"threshold: must be a finite number"),
        ("generate_temperature: .inf", r"generate_temperature: must be a finite number"),
        ("generate_max_tokens: 0", r"generate_max_tokens: must be at least 1, not 0"),
        ("base_url: localhost:8000", r"run.yaml: base_url: must be an address such as"),
        ("base_url: http://me:pw@localhost/v1", r"must not contain a user name, a password"),
        ("extra_body: [1]", r"extra_body: must be a mapping of names to values, not \[1\]"),
        ("extra_body: {model: x}", r"must not hold 'model': it is named by --model"),
        ("extra_body: {n: 2}", r"must not hold an 'n' other than 1"),
        ("extra_body: {stream: true}", r"must not hold 'stream'"),
        ("extra_body: {x: .nan}", r"extra_body: holds something that JSON cannot hold"),
        ("extra_header: {api-key: sk-1}", r"extra_header: must be a list of texts$"),
        ("extra_header: 'api-key: sk-1'", r"write 'api-key: \$API_KEY', in single quotes$"),
        ("token_limit: tokens", r"must be auto, max_tokens or max_completion_tokens, not 'tokens'"),
    ],
)
def test_a_bad_setting_is_named_with_its_file_and_a_remedy(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(path)
    assert caught.value.exit_code == 2


def test_broken_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: m\nseed: [1\n")
    with pytest.raises(InputError, match=r"run.yaml:3: is not YAML"):
        read_settings(path)


def test_a_key_given_twice_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("model: m\nseed: 1\nmodel: n\n")
    with pytest.raises(InputError, match=r"run.yaml:1: is not YAML: model is given twice"):
        read_settings(path)


@pytest.mark.parametrize(
    "text",
    [
        "model: 2024-13-45",
        "model: &a [*a]",
        "model: !!python/object:os.x",
        "model: " + "[" * 50_000,
    ],
)
def test_strange_yaml_is_an_error_of_the_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises((InputError, ConfigError), match=r"run\.yaml"):
        read_settings(path)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (" \t", r"^model: is blank; name the model to ask, for example --model gpt-4\.1-mini$"),
        ("\u3000", "^model: is blank"),
        (
            "gpt\n4",
            r"^model: holds characters that cannot be seen; write the name as the endpoint ",
        ),
        ("gpt\x1b[2J", "^model: holds characters that cannot be seen"),
        ("gpt\u202e4", "^model: holds characters that cannot be seen"),
    ],
)
def test_a_model_has_a_name_that_can_be_read(model: str, problem: str) -> None:
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
def test_the_fingerprint_changes_exactly_with_the_settings_that_matter(name: str) -> None:
    """Settings that count by their content change it through the hash of that content."""
    before = RunConfig(model="m")
    changed = CHANGES[name] if name in CHANGES else getattr(before, name) + 1
    after = dataclasses.replace(before, **{name: changed})

    prints = [
        fingerprint(plain(config), hashes={"seed_tasks.jsonl": "ab"}, versions={"rules": 1})
        for config in (before, after)
    ]
    assert (prints[0] == prints[1]) == (name in OPERATIONAL | BY_CONTENT)


def test_an_added_member_that_is_the_same_in_another_order_is_the_same_run() -> None:
    prints = {
        fingerprint(plain(RunConfig(model="m", extra_body=body)), hashes={}, versions={})
        for body in ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    }
    assert len(prints) == 1
    assert plain(RunConfig(model="m", extra_body={})) == plain(RunConfig(model="m"))


def test_the_fingerprint_changes_with_contents_and_versions() -> None:
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


def test_a_sampling_parameter_can_be_left_out_under_every_recipe() -> None:
    assert RunConfig(model="m", generate_presence_penalty=None).generate_presence_penalty is None
    assert RunConfig(model="m", recipe="alpaca").generate_presence_penalty is None


def test_what_is_operational_is_a_short_list() -> None:
    """Everything else is part of what a run is; adding to this list is a decision."""
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
def test_the_lag_grows_with_the_number_between_its_bounds(number: int, lag: int) -> None:
    assert RunConfig(model="m").lag(number) == lag


def test_the_pool_that_a_request_sees_never_shrinks_with_its_number() -> None:
    config = RunConfig(model="m")
    seen = [number - config.lag(number) for number in range(1, 3000)]
    assert seen == sorted(seen)
