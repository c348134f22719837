"""Tests of the option `--set NAME=VALUE`."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.config.reading import read_setting
from selfinstruct.config.schema import RunConfig, plain
from selfinstruct.errors import ConfigError


def test_every_setting_can_be_set() -> None:
    """Check that `--set` accepts any stored value, because JSON is valid YAML."""
    config = RunConfig(model="m", extra_body={"top_k": 1}, extra_header=("X-Title: a",))
    for name, value in plain(config).items():
        expected = (name, getattr(config, name))
        assert read_setting(f"{name}={json.dumps(value)}") == expected
        assert read_setting(f" {name.replace('_', '-')} = {json.dumps(value)} ") == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lag_min", "--set: must be NAME=VALUE, such as stall_after=200, not 'lag_min'"),
        ("=5", "--set: must be NAME=VALUE, such as stall_after=200, not '=5'"),
        ("lag_mim=5", "--set lag_mim: no such setting; did you mean lag_min?"),
        ("lag-min=five", "--set lag_min: must be a whole number, not 'five'"),
        ("lag_min=0", "--set lag_min: must be at least 1, not 0"),
        ("lag_min=", "--set lag_min: must be a whole number, not null; leave the setting out"),
        ("max_instances=1e1", "--set max_instances: must be a whole number, not '1e1'; write 10"),
        ("generate_temperature=nil", "--set generate_temperature: must be a number, not 'nil'"),
        ("show_input=1", "--set show_input: must be true or false, not 1"),
        ("connect_timeout_s=soon", "--set connect_timeout_s: must be a number of seconds or a "),
        ("tokenizer=[", "--set tokenizer: is not YAML: "),
        ("tokenizer=\0", "--set tokenizer: is not YAML: the character U+0000 is not allowed"),
    ],
)
def test_a_wrong_setting_names_the_option(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_setting(text)
    assert str(caught.value).startswith(problem)


@given(
    st.text(max_size=30)
    | st.builds(
        "{}={}".format,
        st.sampled_from([spec.name for spec in dataclasses.fields(RunConfig)]),
        st.text(max_size=30),
    )
)
def test_any_text_is_a_setting_or_an_error(text: str) -> None:
    try:
        name, value = read_setting(text)
    except ConfigError as error:
        problem = str(error)
        assert problem.startswith("--set")
        return
    assert getattr(RunConfig(model="m").changed(**{name: value}), name) == value
