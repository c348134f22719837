"""Tests of settings that are durations, such as 8h or 1h30m. Plain numbers are seconds."""

from pathlib import Path

import pytest
from support import typed

from selfinstruct.config.reading import DURATIONS, load_settings, read_settings, seconds
from selfinstruct.display import duration
from selfinstruct.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90.0),
        ("0", 0.0),
        ("0.4", 0.4),
        ("1e3", 1000.0),
        ("45s", 45.0),
        ("90m", 5400.0),
        ("8h", 28800.0),
        ("1d", 86400.0),
        ("1h30m", 5400.0),
        ("1d2h3m4s", 93784.0),
        ("1.5h", 5400.0),
        (" 8H ", 28800.0),
        ("2 h 5 min", 7500.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("value", [1.0, 59.0, 60.0, 5400.0, 7500.0, 360000.0])
def test_a_shown_duration_can_be_read(value: float) -> None:
    assert seconds(duration(value)) == value


@pytest.mark.parametrize(
    "text",
    ["", " ", "h", "lots", "8 hours", "30m1h", "8h8h", "1h30", "-1h", "1:30", "٣h", "1,5h", "9" * 400 + "h"],
)  # fmt: skip
def test_an_invalid_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(
        ValueError, match="a number of seconds or a duration such as 8h or 1h30m, not"
    ):
        seconds(text)


def test_every_setting_in_seconds_takes_a_duration() -> None:
    assert {"max_time_s", "give_up_after_s", "request_timeout_s", "connect_timeout_s"} == DURATIONS
    for name in DURATIONS:
        assert load_settings("run.yaml", {name: "1m30s"}) == {name: 90.0}
        assert load_settings("run.yaml", {name: 90}) == {name: 90.0}


def test_yaml_takes_durations_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("max-time-s: 8h\ngive_up_after_s: 1h30m\nrequest_timeout_s: 600\n")
    assert read_settings(path) == {
        "max_time_s": 28800.0,
        "give_up_after_s": 5400.0,
        "request_timeout_s": 600.0,
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("max_time_s: soon", "max_time_s: must be a number of seconds or a duration such as .* not 'soon'"),
        ("max_time_s: true", "max_time_s: must be a number of seconds or a duration such as .* not true"),
        ("give_up_after_s: null", "not null; leave the setting out to use the default"),
        ("give_up_after_s: 31d", "give_up_after_s: must be between 0 and 2.592e.06, not 2678400.0"),
        ("connect_timeout_s: 'nan'", "connect_timeout_s: must be a finite number"),
    ],
)  # fmt: skip
def test_a_wrong_duration_in_yaml_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_settings(path)


def test_flags_take_durations(tmp_path: Path) -> None:
    def refused(*flags: str) -> str:
        done = typed("run", "-o", "new", *flags, cwd=tmp_path)
        assert done.returncode == 2
        return " ".join(done.stderr.replace("│", " ").split())

    assert "request_timeout_s: must be between 0.001 and 86400, not 172800.0" in refused(
        "-m", "m", "--request-timeout", "2d", "--max-time", "8h", "--give-up-after-s", "90m"
    )
    assert "must be a number of seconds or a duration such as 8h or 1h30m, not 'soon'" in refused(
        "--max-time", "soon"
    )
