"""Tests that an invalid setting gets a one-sentence error with its place, the problem and a remedy."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.config.reading import _KINDS, _types, load_settings, read_settings
from selfinstruct.errors import ConfigError, InputError

VALUES = [7, 0.5, True, None, "text", [], ["a"], {}, {"a": 1}, {1, 2}, b"x", object(), "\ud800"]
FITS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda v: isinstance(v, str),
    "a path": lambda v: isinstance(v, str),
    "true or false": lambda v: isinstance(v, bool),
    "a whole number": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "a number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "a list of texts": lambda v: isinstance(v, list | str),
    "a mapping of names to values": lambda v: isinstance(v, dict),
}


def test_every_setting_refuses_wrong_types() -> None:
    wrong = []
    for name, (kind, is_optional) in _types().items():
        fits = FITS[_KINDS[kind][1]]
        for value in VALUES:
            try:
                load_settings("run.yaml", {name: value})
            except ConfigError as error:
                text = str(error)
                if not text.startswith(f"run.yaml: {name}: ") or "\n" in text or len(text) >= 300:
                    wrong.append(text)
            else:
                if not (fits(value) or (value is None and is_optional)):
                    wrong.append(f"{name} takes {value!r}")
    assert not wrong


def test_whole_numbers_become_floats_where_needed() -> None:
    assert type(load_settings("", {"threshold": 1})["threshold"]) is float


LONG = "a" * 500
BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
QUOTES = "put it in quotes"
ALIAS = (
    r"run.yaml:{}: is not YAML: an alias \(\*\) can only repeat a single value; write the values"
)
SYNTAX = (
    "quote values with special characters such as : or @, close quotes and brackets, and indent"
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("treshold: 1", r"run.yaml: treshold: no such setting; did you mean threshold\?"),
        ("MODEL: m", r"MODEL: no such setting; did you mean model\?"),
        ("colour: red", "colour: no such setting; `selfinstruct run --help` lists the settings"),
        ("5: m", "5: no such setting"),
        ("null: m", "null: no such setting"),
        (f"{LONG}: m", "aaa…: no such setting"),
        ("model: m\nmodel: n", "run.yaml:1: .*model is given twice; keep one of the lines"),
        ("max-attempts: 1\nmax_attempts: 2", "max_attempts: is given twice; keep one of them"),
        ("model: 7", f"model: must be text, not 7; {QUOTES}"),
        ("model: yes", f"model: must be text, not true; {QUOTES}"),
        ("model: 2024-01-01", f"model: must be text, not the date 2024-01-01; {QUOTES}"),
        ("model: !!timestamp x", f"run.yaml: contains a number or a date that cannot .*; {QUOTES}"),
        ("show_input: !!bool x", f"run.yaml: contains a number or a date that cannot .*; {QUOTES}"),
        ("model: 2024-13-45", f"run.yaml: contains a number or a date that cannot .*; {QUOTES}"),
        ("recipe:", "recipe: must be text, not null; leave the setting out to use the default"),
        ("threshold: null", "threshold: must be a number, not null; leave the setting out"),
        ("show_input: 1", "run.yaml: show_input: must be true or false, not 1"),
        ("seed: true", "run.yaml: seed: must be a whole number, not true"),
        ("num_instructions: '5'", "must be a whole number, not '5'; write 5"),
        ("num_instructions: 1e6", "must be a whole number, not '1e6'; write 1000000"),
        ("num_instructions: 5.0", "must be a whole number, not 5.0; write 5"),
        ("threshold: '0.7'", "must be a number, not '0.7'; write 0.7, without quotes"),
        ("threshold: high", "must be a number, not 'high'$"),
        ("threshold: .nan", "threshold: must be a finite number"),
        ("threshold: -.inf", "threshold: must be a finite number"),
        ("threshold: 1.01", "threshold: must be between 0 and 1, not 1.01"),
        ("threshold: 1" + "0" * 400, "threshold: must "),
        ("generate_max_tokens: 0", "generate_max_tokens: must be at least 1, not 0"),
        ("seed: 1" + "0" * 5000, "contains a number or a date that cannot be read"),
        ("model: !!binary aGFsbG8=", "model: must be text, not b'hallo'"),
        ("model: !!set {a}", "model: must be text, not {'a'}"),
        ("model: !mine x", f"run.yaml:1: is not YAML: .*; {SYNTAX}"),
        ("model: !!python/name:os.system", f"run.yaml:1: is not YAML: .*; {SYNTAX}"),
        ('model: "\\ud800"', "model: contains bytes that are not text"),
        ('seed_tasks: "a\\0b"', "seed_tasks: contains a NUL character, which no path can contain"),
        (
            "prompts: ~nosuchperson/x",
            "home directory in ~nosuchperson/x is unknown; write the full",
        ),
        ("model: a\0b", r"the character U\+0000 is not allowed; delete it"),
        ("just text", "settings: must be a mapping of names to values, such as model: gpt"),
        ("- model", "settings: must be a mapping"),
        ("model: m\n---\nmodel: n", "run.yaml:2: .*another document; keep one of them"),
        ("\tmodel: m", f"run.yaml:1: is not YAML: .*; {SYNTAX} with spaces"),
        ("model: @x", f"run.yaml:1: is not YAML: .*; {SYNTAX}"),
        ("model: a: b", f"run.yaml:1: .*; {SYNTAX}"),
        ("model: *x", f"run.yaml:1: .*; {SYNTAX}"),
        ('seed: 1\nmodel: "m', f"run.yaml:2: is not YAML: .*; {SYNTAX}"),
        ("seed: 1\nmodel: [m", f"run.yaml:2: is not YAML: .*; {SYNTAX}"),
        ("? [a, b]\n: m", "run.yaml:1: .*unhashable key"),
        (BOMB, ALIAS.format(2)),
        (MERGES, ALIAS.format(2)),
        ("model: &a [*a]", ALIAS.format(1)),
        ("model: " + "[" * 9000, "run.yaml: is nested too deeply; write fewer levels"),
        ("#" * 100_001, "is longer than 100,000 characters; choose another file"),
        ("\n".join(f"k{n}: 1" for n in range(9000)), "k0: no such setting"),
        ("base_url: http://[::1/v1", "run.yaml: base_url: must be an address such as"),
        ("base_url: http://localhost:99999/v1", "run.yaml: base_url: must be an address such as"),
        ("base_url: localhost:8000", "run.yaml: base_url: must be an address such as"),
        ("base_url: http://me:pw@localhost/v1", "must not contain a user name, a password"),
        ("api_key_env: sk-1", "must be the name of an environment variable, such as [A-Z_]+$"),
        ("extra_body: [1]", r"extra_body: must be a mapping of names to values, not \[1\]"),
        ("extra_body: {model: x}", "must not contain 'model': use --model"),
        ("extra_body: {n: 2}", "must not contain an 'n' other than 1"),
        ("extra_body: {stream: true}", "must not contain 'stream'"),
        ("extra_body: {x: .nan}", "extra_body: contains a value that JSON cannot represent"),
        ("extra_body: {x: 2024-01-01}", "extra_body: contains a value that JSON cannot represent"),
        ("extra_header: {api-key: sk-1}", "extra_header: must be a list of texts$"),
        ("extra_header: 'api-key: sk-1'", r"write 'api-key: \$MY_KEY', in single quotes$"),
        ("token_limit: tokens", "must be auto, max_tokens or max_completion_tokens, not 'tokens'"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_error_names_file_setting_and_remedy(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises((ConfigError, InputError), match=problem) as caught:
        read_settings(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert caught.value.exit_code == 2


def test_scalar_aliases_and_empty_files_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("\ufeffgenerate-temperature: &t 0.5\nclassify-temperature: *t\n")
    assert set(read_settings(path).values()) == {0.5}
    path.write_text("# nothing yet\n")
    assert read_settings(path) == {}
