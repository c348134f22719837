"""Tests of the help texts and of shell completion."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import command, typed
from waiting import PATIENCE_S

from selfinstruct.cli.options import flag
from selfinstruct.config.schema import RunConfig

COMMANDS = [
    "run",
    "doctor",
    "estimate",
    "demo",
    "simulate",
    "status",
    "export",
    "parse",
    "explain",
    "verify",
    "filter",
    "refilter",
    "import",
    "decontaminate",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example(name: str) -> None:
    done = typed(name, "--help")
    assert done.returncode == 0
    assert f"selfinstruct {name}" in done.stdout.split("Usage:")[1].replace("Usage", "", 1)
    assert "Example" in done.stdout


COMMON = [
    name for name, spec in RunConfig.__dataclass_fields__.items() if not spec.metadata["rare"]
]
RARE = [name for name in RunConfig.__dataclass_fields__ if name not in COMMON]


@pytest.mark.parametrize("name", ["run", "estimate", "doctor"])
def test_help_fits_on_two_screens(name: str) -> None:
    text = typed(name, "--help", environ={"COLUMNS": "80"}).stdout
    assert len(text.splitlines()) <= 96
    missing = [setting for setting in COMMON if f"{flag(setting)} " not in text]
    extra = [setting for setting in RARE if setting.replace("_", "-") in text]
    assert (missing, extra) == ([], [])
    assert "--set " in text


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_shows_no_type_of_a_switch(name: str) -> None:
    assert "<bool>" not in typed(*filter(None, [name]), "--help").stdout


def test_help_groups_the_commands() -> None:
    text = typed("--help").stdout
    panels = re.findall(r"╭─ (\w+) ─", text)
    assert panels == ["Options", "Make", "Look", "Improve", "Train", "Debug"]
    assert set(COMMANDS) == set(re.findall(r"^│ ([a-z]+) ", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["run", "estimate", "doctor"])
def test_a_rare_flag_names_its_setting(tmp_path: Path, name: str) -> None:
    for setting in RARE:
        for typed_flag in (
            flag_like(setting),
            flag_like(setting).replace("-", "_").replace("__", "--", 1),
        ):
            done = typed(name, typed_flag, "1", cwd=tmp_path)
            message = f"{flag_like(setting)} is set with --set {setting}=…"
            assert (done.returncode, done.stdout) == (2, "")
            assert message in " ".join(done.stderr.replace("│", " ").split())


def flag_like(setting: str) -> str:
    return f"--{setting.removesuffix('_s').replace('_', '-')}"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ru"], {"run"}),
        (["run", "--max-ti"], {"--max-time"}),
        (["run", "-m", "m", "--se"], {"--seed", "--seed-tasks", "--set"}),
        (["export", "run", "--form"], {"--format"}),
    ],
)
def test_bash_completes_commands_and_options(
    tmp_path: Path, words: list[str], expected: set[str]
) -> None:
    script = typed(environ={"_SELFINSTRUCT_COMPLETE": "source_bash"}).stdout
    program = tmp_path / "selfinstruct"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m selfinstruct "$@"\n')
    program.chmod(0o755)
    line = f"COMP_WORDS=(selfinstruct {' '.join(words)}); COMP_CWORD={len(words)}"
    call = '_selfinstruct_completion selfinstruct; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", "\n".join([script, line, call])],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=PATIENCE_S,
    )
    assert set(done.stdout.split()) == expected, done.stderr


def test_zsh_completes_commands_and_options() -> None:
    script = typed(environ={"_SELFINSTRUCT_COMPLETE": "source_zsh"}).stdout
    assert "_SELFINSTRUCT_COMPLETE=complete_zsh selfinstruct" in script
    for line, expected in (("selfinstruct ru", '"run"'), ("selfinstruct run --ma", '"--max-time"')):
        protocol = {"_SELFINSTRUCT_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
        assert expected in command(environ=protocol).stdout


@pytest.mark.parametrize("arguments", [["--version"], []])
def test_version_and_completion_import_nothing_heavy(arguments: list[str]) -> None:
    protocol = {"COMP_WORDS": "selfinstruct ru", "COMP_CWORD": "1"}
    if not arguments:
        protocol["_SELFINSTRUCT_COMPLETE"] = "complete_bash"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "selfinstruct", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **protocol},
        timeout=PATIENCE_S,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "selfinstruct.cli" in imported
    assert not imported & {"openai", "pandas", "numpy", "rapidfuzz", "jinja2", "yaml"}
    assert "selfinstruct.pipeline" not in imported


def test_help_works_with_ascii_only() -> None:
    done = command(
        "run", "--help", environ={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    )
    assert done.returncode == 0, done.stderr
