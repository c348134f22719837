r"""Bad input and a failing disk: one sentence with place, problem and remedy, the right code, nothing lost.

Most cases call the real `main` in this process, since a table of subprocesses would take minutes; one case of
each kind is typed in a shell, where nothing is as a test would have it.
"""

import errno
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support import ScriptedBackend, make_seed_task, sealed, sealed_journal
from waiting import PATIENCE_S

from selfinstruct import cli
from selfinstruct.analysis.refilter.directory import refilter_run
from selfinstruct.api import export_run, run
from selfinstruct.config.reading import _wanted, load_settings, read_settings
from selfinstruct.config.schema import RunConfig
from selfinstruct.config.shipped import resource as shipped
from selfinstruct.dataset.export import Wanted, provenance_rows, select, writing
from selfinstruct.errors import ConfigError, InputError, RunWriteError, SelfInstructError
from selfinstruct.events import Committed, Outcome
from selfinstruct.pipeline.prompts import load_template
from selfinstruct.pipeline.seed_tasks import read_seed_tasks, render_seed_tasks
from selfinstruct.runner import loop, manifest
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.run_files import FILES, LOCK

NEW = ("run", "-o", "new", "-m", "m", "--base-url", "http://127.0.0.1:9/v1")
"""A run that would begin, if nothing else were wrong."""
LONG = "a" * 300
LOOK = [
    ("status", "DIR"),
    ("export", "DIR", "-o", "out.json"),
    ("explain", "DIR", "task_000001"),
    ("verify", "DIR"),
    ("refilter", "DIR", "-o", "made"),
]
"""The commands that read a run."""
EACH = [("run", "DIR"), *LOOK]


@dataclass(frozen=True)
class Told:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What stands on stderr: one line, or a box of typer's."""
        lines = self.err.splitlines()
        boxed = [line.strip("│ ") for line in lines if line.startswith("│")]
        if boxed:
            return " ".join(boxed)
        assert len(lines) == 1, self.err
        assert lines[0].startswith("selfinstruct: "), self.err
        return lines[0].removeprefix("selfinstruct: ")


Typed = Callable[..., Told]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: some things that no command can use, and what it can use."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    (place / "folder").mkdir()
    (place / "binary").write_bytes(b"PK\x03\x04\xff\xfe\x00" * 9)
    (place / "latin").write_bytes("model: café\n".encode("latin-1"))
    (place / "loop").symlink_to("loop")
    (place / "seeds.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    return place


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command: calls `main` in this process."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def leave(code: int) -> None:
        raise SystemExit(code)

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("a run has begun, where nothing should")

    def call(*arguments: object) -> Told:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["selfinstruct", *map(str, arguments)])
            patch.setattr(signal, "signal", lambda *_: None)
            patch.setattr(os, "_exit", leave)
            patch.setattr(loop, "grow", never)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        return Told(code if isinstance(code, int) else 1, said.out, said.err)

    return call


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    (place / "seeds.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(model="scripted", num_instructions=4, seed_tasks=place / "seeds.jsonl")
    run(place / "run", config, backend=ScriptedBackend())
    return place / "run"


@pytest.fixture
def finished(here: Path, _finished: Path) -> Path:
    """A finished run in `here`, for tests to spoil."""
    shutil.copytree(_finished, here / "run")
    return Path("run")


def everything(place: Path) -> dict[str, bytes | None]:
    """Every name below, with the content of files."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in place.rglob("*")
    }


def shell(
    *arguments: object, env: Mapping[str, str] | None = None, **how: Any
) -> subprocess.CompletedProcess[str]:
    """Type a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"} if env is None else env,
        timeout=PATIENCE_S,
        **how,
    )


# ── what is typed ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runn",), "No such command 'runn'. Did you mean 'run'?"),
        (("statsu", "run"), "No such command 'statsu'. Did you mean 'status'?"),
        ((*NEW, "--treshold", "1"), "--treshold .*--threshold"),
        (("export", "run", "-o", "x", "--fromat", "jsonl"), "--fromat .*--format"),
        (("export", "run", "-o", "x", "-f", "xls"), "'xls' is not one of 'alpaca', 'jsonl'"),
        (("export", "run"), "Missing option '--output' / '-o'"),
        (("export", "run", "-o"), "'-o' requires an argument"),
        (("export", "run", "-o", "x", "--limit", "0"), "'--limit'.* greater than or equal to 1"),
        (("explain", "run"), r"Missing argument 'TEXT\|ID'"),
        (("explain", "run", " "), r"TEXT\|ID: there is nothing to look for"),
        (("verify", "run", "more"), r"unexpected extra argument\(s\) \(more\)"),
        (("status",), "Missing argument 'DIR'"),
        (("run",), "say where the run goes: -o DIR"),
        (("run", "run", "-o", "new"), "run is a directory; with -o, name a file of settings here"),
        (("run", "none.yaml", "-o", "new"), "none.yaml does not exist; a new run is started with"),
        (("run", "folder"), "folder is not a run directory; a new run is started with -o DIR"),
        (("run", "folder", *NEW[3:]), "folder is not a run directory; a new run is started with"),
        (("doctor", "folder"), "folder is not a run directory; a new run is started with -o DIR"),
        (("run", "."), r"\. is not a run directory; a new run is started with -o DIR"),
        (("run", LONG), "aaa: cannot be read .File name too long.; choose a shorter name"),
        (("run", LONG, "-o", "new"), "aaa: cannot be read .File name too long.; choose a shorter"),
        (("run", "loop"), "loop: cannot be read .*leads back to itself; name the file itself"),
        (("run", "latin/x"), "latin/x: cannot be read .Not a directory.; a part of that path is a"),
        ((*NEW, "-m", " "), "model: is blank; name the model to ask"),
        (NEW[:3], "model: is missing; name the model to ask, for example --model gpt-4.1-mini"),
        ((*NEW, "-t", "abc"), "'--threshold' / '-t'.*number"),
        ((*NEW, "-t", "-0.1"), "threshold: must lie between 0 and 1, not -0.1"),
        ((*NEW, "-t", "1.5"), "threshold: must lie between 0 and 1, not 1.5"),
        ((*NEW, "-t", "nan"), "threshold: must be a finite number, not nan"),
        ((*NEW, "-n", "0"), "num_instructions: must be at least 1, not 0"),
        ((*NEW, "-n", "-5"), "num_instructions: must be at least 1, not -5"),
        ((*NEW, "-n", "1e6"), "'--num-instructions' / '-n'.*integer"),
        ((*NEW, "-n"), "'-n' requires an argument"),
        ((*NEW, "--recipe", "self"), "recipe: must be self-instruct or alpaca, not 'self'"),
        ((*NEW, "--base-url", "http://a\x7fb/v1"), "base_url: must be an address such as http://"),
        ((*NEW, "--base-url", "ftp://x"), "base_url: must be an address such as http://localhost"),
        (
            (*NEW, "--generated-demonstrations", "9"),
            r"9 \(--generated-demonstrations\) is more than 8 \(--demonstrations\)",
        ),
        (("parse", "seeds.jsonl"), "Missing option '--stage' / '-s'"),
        (("parse", "seeds.jsonl", "-s", "generate"), "seeds.jsonl:1: has no 'completion'"),
    ],
)
def test_wrong_usage_says_what_to_type(
    here: Path, finished: Path, typed: Typed, arguments: tuple[str, ...], said: str
) -> None:
    assert finished.is_dir()
    before = everything(here)
    told = typed(*arguments)
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert everything(here) == before


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, r"\$OPENAI_API_KEY is not set; put your key there, or name another endpoint"),
        ({"OPENAI_API_KEY": " \t"}, r"\$OPENAI_API_KEY is not set; put your key there"),
        ({"OPENAI_API_KEY": "sk-a\nb"}, r"\$OPENAI_API_KEY holds characters that no key has"),
        ({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "me"}, r"\$OPENAI_BASE_URL: must be an addr"),
    ],
)
def test_a_key_or_address_that_cannot_be_is_told_before_anything_is_made(
    here: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
) -> None:
    before = everything(here)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    told = typed(*NEW[:5])
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert "sk-a" not in told.err
    assert everything(here) == before


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"ALL_PROXY": "socks5://me:hunter2@h"}, r"\$ALL_PROXY: names a SOCKS proxy.*socksio"),
        ({"all_proxy": "socks5h://h"}, r"\$all_proxy: names a SOCKS proxy.*pip install socksio"),
        ({"HTTP_PROXY": "foo://me:hunter2@h"}, r"\$HTTP_PROXY: must be the address of a proxy"),
        ({"https_proxy": "http://me:hunter2@[::1"}, r"\$https_proxy: must be the address of a"),
        ({"HTTP_PROXY": "http://me:hunter2@a\x7fb"}, r"\$HTTP_PROXY: must be the address of a"),
        (
            {"SSL_CERT_FILE": "/nonexistent"},
            r"\$SSL_CERT_FILE: the trusted certificates cannot be read \(No such file.*\); name another",
        ),
        ({"SSL_CERT_FILE": "/dev/null"}, r"\$SSL_CERT_FILE: .*\(no certificates in it\); name"),
        ({"OPENAI_BASE_URL": "http://a\x7fb/v1"}, r"\$OPENAI_BASE_URL: must be an address such"),
    ],
)
@pytest.mark.parametrize("is_preview", [False, True])
def test_a_proxy_or_certificate_that_cannot_be_is_told_before_anything_is_made(
    here: Path,
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    said: str,
    is_preview: bool,
) -> None:
    if any(value.startswith("socks") for value in environ.values()) and find_spec("socksio"):
        pytest.skip("socksio is installed")
    before = everything(here)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    told = typed(*NEW[:5], *(["--preview"] if is_preview else []))
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert "hunter2" not in told.err
    assert everything(here) == before
    doctor = typed("doctor", "-m", "m")
    assert doctor.code == 2
    assert "Nothing was asked." in doctor.out
    assert "hunter2" not in doctor.out + doctor.err


# ── files that cannot be read ────────────────────────────────────────────────────────────────────────────

UNREADABLE = [
    ("missing", "missing: cannot be read .No such file or directory.; check the name"),
    ("folder", "folder: cannot be read .Is a directory.; name a file"),
    ("binary", r"binary: is not UTF-8 text \(byte \d+\); save it as such"),
    ("latin", r"latin: is not UTF-8 text \(byte 10\); save it as such"),
    ("loop", "loop: cannot be read .*a link that leads back to itself; name the file itself"),
    (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
    ("latin/x", "latin/x: cannot be read .Not a directory.; a part of that path is a file"),
    ("/dev/zero", "/dev/zero: holds more than .* bytes, so it must be something else; name a"),
    ("/dev/null", "/dev/null: holds no seed tasks; a line holds one whole task as a JSON object"),
    ("one\ntwo", r"one\\ntwo: cannot be read"),
    ("one\x1b[2Jtwo", r"one\\x1b\[2Jtwo: cannot be read"),
]


@pytest.mark.parametrize(("name", "said"), UNREADABLE)
def test_seed_tasks_that_cannot_be_read_leave_no_directory(
    here: Path, typed: Typed, name: str, said: str
) -> None:
    before = everything(here)
    told = typed(*NEW, "--seed-tasks", name)
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert "\x1b" not in told.err
    assert everything(here) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("binary", "binary: is not UTF-8 text; save it as such"),
        ("latin", "latin: is not UTF-8 text; save it as such"),
        ("/dev/zero", "/dev/zero: is longer than 100,000 characters, .*; name a file of settings"),
        ("folder", "folder is a directory; with -o, name a file of settings here"),
        ("seeds.jsonl", "seeds.jsonl:2: is not YAML: "),
    ],
)
def test_settings_that_cannot_be_read_leave_no_directory(
    here: Path, typed: Typed, name: str, said: str
) -> None:
    before = everything(here)
    told = typed("run", name, *NEW[1:])
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert everything(here) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "missing: does not exist; name a folder of templates, such as a copy of /"),
        ("latin", "latin: is not a folder; name a folder of templates, such as a copy of /"),
        ("loop", "loop: cannot be read .*a link that leads back to itself; name the file itself"),
        (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
        ("loops", "loops/generate.txt: cannot be read .*a link that leads back to itself"),
        ("folder", "folder: lacks generate.txt, .*start from a copy of /"),
        ("alpaca", r"alpaca: lacks classify.txt, .*start from a copy of /.*prompts/self-instruct"),
        ("self-instruct-completions", "generate.txt: ends in the number of the next task, which"),
    ],
)
def test_a_folder_of_templates_that_cannot_be_used_leaves_no_directory(
    here: Path, typed: Typed, name: str, said: str
) -> None:
    for folder in ("alpaca", "self-instruct-completions"):
        (here / folder).symlink_to(shipped("prompts") / folder)
    shutil.copytree(shipped("prompts") / "self-instruct", here / "loops")
    (here / "loops/generate.txt").unlink()
    (here / "loops/generate.txt").symlink_to("generate.txt")
    before = everything(here)
    told = typed(*NEW, "--prompts", name)
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert everything(here) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Task: {{ instrution }}", "classify.txt: uses an unknown value: instrution .*write one"),
        ("Task", "does not use 'instruction', .*; put {{ instruction }} where it belongs"),
        ("one\ntwo {{ instruction", "classify.txt:2: is not a valid template: .*a value stands"),
        ("{% for %}{{ instruction }}", "classify.txt:1: is not a valid template: "),
        ("{{ instruction }}{{ 1 / 0 }}", "cannot be rendered: division by zero; mend the templ"),
        ("{{ instruction }}{% include 'x' %}", "cannot be rendered: no loader"),
        ("{{ 'x' * 10000000000 }}{{ instruction }}", r"cannot be rendered: \* with such values"),
        ("{{ [1] * 9999999999 }}{{ instruction }}", r"cannot be rendered: \* with such values"),
        ("{{ 9 ** 9 ** 9 ** 9 }}{{ instruction }}", r"cannot be rendered: \*\* with such values"),
        (
            "{{ instruction }}{% for a in range(2000) %}{{ '-' * 2000 }}{% endfor %}",
            "cannot be rendered: a prompt of more than 1,000,000 characters; mend",
        ),
        ("{{ " + "(" * 5000 + "1}} {{ instruction }}", "is nested too deeply; mend the template"),
        (b"\xff{{ instruction }}", "classify.txt: is not UTF-8 text; save it as such"),
        (b"x" * 1_000_001, "classify.txt: is longer than 1,000,000 characters"),
        ("{{ '-' * 20 }} {{ 3 * 4 }} {{ instruction }}", ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_template_that_would_fail_in_the_night_fails_now(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    path = tmp_path / "classify.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if not said:
        load_template(path, folder="f", required="instruction", sample={"instruction": "x"})
        return
    with pytest.raises(InputError, match=said) as caught:
        load_template(path, folder="f", required="instruction", sample={"instruction": "x"})
    assert "\n" not in str(caught.value)


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────

VALUES = [7, 0.5, True, None, "text", [], ["a"], {}, {"a": 1}, {1, 2}, b"x", object(), "\ud800"]
FITS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda v: isinstance(v, str),
    "a path": lambda v: isinstance(v, str),
    "true or false": lambda v: isinstance(v, bool),
    "a whole number": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "a number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "a number of seconds or a duration such as 8h or 1h30m": lambda v: v in (7, 0.5),
    "a list of texts": lambda v: isinstance(v, list | str),
    "a mapping of names to values": lambda v: isinstance(v, dict),
}


@pytest.mark.parametrize("name", RunConfig.__dataclass_fields__)
def test_a_value_of_a_wrong_type_is_refused_for_every_setting(name: str) -> None:
    wanted = _wanted(name)
    may_be_null = "None" in str(RunConfig.__dataclass_fields__[name].type)
    for value in VALUES:
        fits = FITS[wanted](value) or (value is None and may_be_null)
        try:
            load_settings("run.yaml", {name: value})
        except ConfigError as error:
            said = str(error)
            assert said.startswith(f"run.yaml: {name}: "), said
            assert "\n" not in said
            assert len(said) < 300
        else:
            assert fits, f"{name} takes {value!r}"


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {k: v}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 9)}]}}\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
QUOTES = "put it in quotes"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("treshold: 1", r"run.yaml: treshold: no such setting; did you mean threshold\?"),
        ("MODEL: m", r"MODEL: no such setting; did you mean model\?"),
        ("colour: red", "colour: no such setting; `selfinstruct run --help` lists them"),
        ("5: m", "5: no such setting"),
        ("null: m", "null: no such setting"),
        (f"{LONG}: m", "aaa…: no such setting"),
        ("model: m\nmodel: n", "run.yaml:1: .*model is given twice; keep one of the lines"),
        ("max-attempts: 1\nmax_attempts: 2", "max_attempts: is given twice; keep one of them"),
        ("model: 7", f"model: must be text, not 7; {QUOTES}"),
        ("model: yes", f"model: must be text, not true; {QUOTES}"),
        ("model: 2024-01-01", f"model: must be text, not the date 2024-01-01; {QUOTES}"),
        ("model: 2024-13-45", f"run.yaml: holds a number or a date that cannot be .*; {QUOTES}"),
        ("recipe:", "recipe: must be text, not null; leave the line out for the default"),
        ("num_instructions: 1e6", "must be a whole number, not '1e6'; write 1000000"),
        ("num_instructions: 5.0", "must be a whole number, not 5.0; write 5"),
        ("threshold: '0.7'", "must be a number, not '0.7'; write 0.7, without quotes"),
        ("threshold: high", "must be a number, not 'high'$"),
        ("threshold: .nan", "threshold: must be a finite number"),
        ("threshold: -.inf", "threshold: must be a finite number"),
        ("threshold: 1.01", "threshold: must lie between 0 and 1, not 1.01"),
        ("threshold: 1" + "0" * 400, "threshold: must "),
        ("seed: 1" + "0" * 5000, "holds a number or a date that cannot be read"),
        ("model: !!binary aGFsbG8=", "model: must be text, not something of type bytes"),
        ("model: !!set {a}", "model: must be text, not something of type set"),
        ("model: !mine x", "run.yaml:1: is not YAML: .*leave the tag, which begins with !, out"),
        ("model: !!python/name:os.system", "run.yaml:1: .*leave the tag, which begins with !"),
        ('model: "\\ud800"', "model: holds bytes that are no text"),
        ('seed_tasks: "a\\0b"', "seed_tasks: holds a NUL character, which no path has"),
        ("prompts: ~nosuchperson/x", "begins with a ~ that leads nowhere; write the whole path"),
        ("model: a\0b", r"holds the character U\+0000, which YAML does not allow; delete it"),
        ("just text", "settings: expected a mapping of names to values, such as model: gpt"),
        ("- model", "settings: expected a mapping"),
        ("model: m\n---\nmodel: n", "run.yaml:2: .*keep what stands before the line ---, or"),
        ("\tmodel: m", "run.yaml:1: is not YAML: .*indent with blanks in place of tabs"),
        ("model: @x", "run.yaml:1: is not YAML: .*put the value in quotes"),
        ("model: a: b", "run.yaml:1: .*put a value that holds a colon in quotes"),
        ("model: *x", r"run.yaml:1: .*put a value that begins with \* in quotes"),
        ('seed: 1\nmodel: "m', "run.yaml:2: is not YAML: .*a quote is not closed"),
        ("seed: 1\nmodel: [m", "run.yaml:2: is not YAML: .*a bracket is not closed"),
        ("? [a, b]\n: m", "run.yaml:1: .*a name must be plain text"),
        (BOMB, r"run.yaml:2: .*an alias \(\*\) may stand for one value only; write the values"),
        (MERGES, r"run.yaml:2: .*an alias \(\*\) may stand for one value only"),
        ("model: &a [*a]", r"run.yaml:1: .*an alias \(\*\) may stand for one value only"),
        ("model: " + "[" * 9000, "run.yaml: is nested too deeply; settings are names and values"),
        ("#" * 100_001, "is longer than 100,000 characters, .*; name a file of settings"),
        ("\n".join(f"k{n}: 1" for n in range(9000)), "k0: no such setting"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_of_settings_that_cannot_be_is_told_with_the_remedy(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises((ConfigError, InputError), match=said) as caught:
        read_settings(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert caught.value.exit_code == 2


def test_an_alias_of_one_value_a_mark_before_utf_8_and_an_empty_file_are_fine(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("\ufeffgenerate-temperature: &t 0.5\nclassify-temperature: *t\n")
    assert set(read_settings(path).values()) == {0.5}
    path.write_text("# nothing yet\n")
    assert read_settings(path) == {}


# ── seed tasks ───────────────────────────────────────────────────────────────────────────────────────────

GOOD = '{"instruction": "Add.", "output": "3"}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "s.jsonl: holds no seed tasks; a line holds one whole task as a JSON object, or"),
        ("[]", "s.jsonl: holds no seed tasks"),
        (GOOD, "holds too few seed tasks .1.: .* 8 .*; add some, or show fewer with --demonstra"),
        (f"{GOOD}\n{GOOD[:-1]}", "s.jsonl:2: is not a JSON object .*; a line holds one whole ta"),
        (f"{GOOD},\n", "s.jsonl:1: is not a JSON object"),
        ("instruction,output\na,b", "s.jsonl:1: is not a JSON object"),
        (f'{GOOD}\n{{"instruction": "b"}}', "s.jsonl:2: 'output' is missing; a task has an ins"),
        ('{"instruction": "a", "instances": [{"input": "x"}]}', "s.jsonl:1: 'output' is missing"),
        ('{"instruction": 5, "output": "b"}', "s.jsonl:1: 'instruction' is .* put it in quotes"),
        ('{"instruction": "a", "instances": 5}', "s.jsonl:1: 'instances' is not .*write .. for"),
        (
            "\n\n".join(['{"id": "x", "instruction": "a", "output": "b"}'] * 2),
            r"s.jsonl:3: the id 'x' appears twice \(first in line 1\); ids must differ",
        ),
        ('{"id": "\\u001b[2J", "instruction": "a", "output": 1}', "s.jsonl:1: "),
        (f"[{GOOD},", "s.jsonl:1: is not JSON: .*; mend the list there"),
        (f"[{GOOD}, 7]", "s.jsonl: entry 2 is not an object with an instruction"),
    ],
)
def test_a_bad_seed_task_is_told_with_its_line_and_leaves_no_directory(
    here: Path, typed: Typed, text: str, said: str
) -> None:
    (here / "s.jsonl").write_text(text)
    before = everything(here)
    told = typed(*NEW, "--seed-tasks", "s.jsonl")
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert everything(here) == before


def test_a_name_with_a_nul_is_no_file_from_python_either() -> None:
    with pytest.raises(InputError, match="is no name of a file; name a file of seed tasks"):
        read_seed_tasks("a\0b")
    with pytest.raises(SelfInstructError, match="is no name of a directory; choose another"):
        read_run("a\0b")


# ── directories that are no run ──────────────────────────────────────────────────────────────────────────

NO_RUN = [
    (
        "none",
        "none: does not exist .*; name the directory that was given to `selfinstruct run` with -o",
    ),
    ("folder", "folder: is not a run directory .*; name the directory that"),
    ("latin", "latin: is a file and no run directory .*; name the directory that"),
    ("latin/x", "latin/x: does not exist .*; name the directory that"),
    ("loop", "loop: cannot be read .*leads back to itself"),
    (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
    ("no\x1b[2Jne\n", r"no\\x1b\[2Jne\\n: does not exist"),
]


@pytest.mark.parametrize("command", LOOK, ids=lambda command: command[0])
@pytest.mark.parametrize(("name", "said"), NO_RUN)
def test_a_directory_that_is_no_run_is_not_looked_at(
    here: Path, typed: Typed, command: tuple[str, ...], name: str, said: str
) -> None:
    if command[0] == "export" and name == "latin":
        said = "latin: is of no format that can be told"  # it may be a list of records
    before = everything(here)
    told = typed(*(name if word == "DIR" else word for word in command))
    assert (told.code, told.out) == (2, "")
    assert re.search(said, told.sentence), told.sentence
    assert everything(here) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("latin", "latin: is a file; choose the name of a new directory"),
        ("latin/x", "latin/x: leads through a file; choose the name of a new directory"),
        ("loop", "loop: cannot be read .*leads back to itself"),
        (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
        ("/proc/new", "/proc/new: cannot be made .*; check the name"),
        (".", r"\.: is not a run directory and not empty .*; choose a new directory"),
    ],
)
def test_a_run_is_not_begun_where_none_can_be(
    here: Path, finished: Path, typed: Typed, name: str, said: str
) -> None:
    before = everything(here)
    for told in (typed(*NEW, "-o", name), typed("refilter", finished, "-o", name)):
        assert (told.code, told.out) == (2, "")
        assert re.search(said, told.sentence), told.sentence
        assert everything(here) == before


# ── a run that was changed from outside ──────────────────────────────────────────────────────────────────


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def removed(path: Path, *_: str) -> None:
    path.unlink()


def appended(path: Path, *texts: str) -> None:
    path.write_text(path.read_text() + "".join(texts))


AGAIN = "restore it from a copy, or choose another directory for a new run"
SPOILED: list[tuple[str, Callable[..., None], tuple[str, ...], str]] = [
    ("config.yaml", changed, ("threshold: 0.7", "threshold: 0.6"), "settings .* restore them, or"),
    (
        "config.yaml",
        changed,
        ("threshold: 0.7", "threshold: high"),
        "threshold in config.*restore it",
    ),
    (
        "config.yaml",
        changed,
        ("threshold: 0.7", "treshold: 0.7"),
        "treshold in config.*it was edit",
    ),
    ("config.yaml", appended, ("x: [",), f"config.yaml is damaged; {AGAIN}"),
    ("config.yaml", appended, (BOMB,), f"config.yaml is damaged; {AGAIN}"),
    ("config.yaml", appended, ("y: " + "[" * 2000,), f"config.yaml is damaged; {AGAIN}"),
    ("prompts/classify.txt", appended, ("more",), f"classify.txt is not what .* with; {AGAIN}"),
    ("prompts/classify.txt", appended, ("{{",), f"classify.txt is not what .*: line .*; {AGAIN}"),
    ("prompts/classify.txt", removed, (), f"classify.txt is not .*: it cannot be read.*; {AGAIN}"),
    ("seed_tasks.jsonl", changed, ("amber", "green"), f"seed_tasks.jsonl is not .*; {AGAIN}"),
    ("seed_tasks.jsonl", appended, ("?",), f"seed_tasks.jsonl is not .*: line 11 .*; {AGAIN}"),
    ("seed_tasks.jsonl", removed, (), f"seed_tasks.jsonl is not .*: it cannot be.*; {AGAIN}"),
]


@pytest.mark.parametrize(("name", "spoil", "how", "said"), SPOILED)
def test_a_run_whose_own_files_were_changed_is_left_as_it_is(
    here: Path,
    finished: Path,
    typed: Typed,
    name: str,
    spoil: Callable[..., None],
    how: tuple[str, ...],
    said: str,
) -> None:
    spoil(finished / name, *how)
    before = everything(here)
    for command in EACH[:2]:
        told = typed(*(finished if word == "DIR" else word for word in command))
        assert (told.code, told.out) == (2, "")
        assert re.search(said, told.sentence), told.sentence
        assert everything(here) == before


def test_other_settings_are_listed_with_both_values(
    here: Path, finished: Path, typed: Typed
) -> None:
    (here / "other.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(11)]))
    before = everything(here)
    told = typed("run", finished, "-m", "m", "-t", "0.6", "--seed-tasks", "other.jsonl")
    assert (told.code, told.out) == (2, "")
    for part in (
        "model is 'scripted' there, 'm' was given",
        "threshold is 0.7 there, 0.6 was given",
        "seed_tasks is 'other content' there, 'other.jsonl' was given",
        "Leave them out to continue it, or choose another directory for a new run.",
    ):
        assert part in told.sentence
    assert everything(here) == before


def test_a_run_that_lost_its_settings_is_not_begun_anew(
    here: Path, finished: Path, typed: Typed
) -> None:
    (finished / "config.yaml").unlink()
    before = everything(here)
    for told in (typed(*NEW, "-o", finished), typed("run", finished)):
        assert told.code == 2
        assert re.search(
            r"run: holds a journal but no config.yaml.*; restore .* copy", told.sentence
        )
    assert everything(here) == before


# ── the journal ──────────────────────────────────────────────────────────────────────────────────────────


def lines_of(run: Path) -> list[bytes]:
    return (run / "journal.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("command", EACH, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("old", "new"),
    [(rb'"kind":"[a-z_]+"', b'"kind":"judged"'), (rb"}\n$", b',"judge":null}\n')],
    ids=["kind", "member"],
)
@pytest.mark.parametrize("version", [b"999.1.2", None])
def test_a_journal_of_a_later_version_is_said_to_be_one(
    here: Path,
    finished: Path,
    typed: Typed,
    command: tuple[str, ...],
    old: bytes,
    new: bytes,
    version: bytes | None,
) -> None:
    lines = lines_of(finished)
    if version is not None:
        lines[0] = re.sub(rb'"selfinstruct":"[^"]*"', b'"selfinstruct":"%s"' % version, lines[0])
    lines[9] = re.sub(old, new, lines[9])
    (finished / "journal.jsonl").write_bytes(sealed_journal(lines))
    before = everything(here)
    told = typed(*(finished if word == "DIR" else word for word in command))
    assert (told.code, told.out) == (2, "")
    said = (
        "selfinstruct 999.1.2, which is newer" if version else "a later version wrote it, or it was"
    )
    for part in ("run/journal.jsonl: line 10 ", said, "nothing was changed", "Run the same comm"):
        assert part in told.sentence
    assert "cut it" not in told.sentence  # which would throw away what was paid for
    assert everything(here) == before


def test_a_setting_of_a_later_version_is_said_to_be_one(finished: Path, typed: Typed) -> None:
    lines = lines_of(finished)
    lines[0] = re.sub(rb'"selfinstruct":"[^"]*"', b'"selfinstruct":"999.1"', lines[0])
    (finished / "journal.jsonl").write_bytes(sealed_journal(lines))
    changed(finished / "config.yaml", "threshold: 0.7", "threshold: 0.7\n  judge: x")
    for command in EACH[:2]:
        told = typed(*(finished if word == "DIR" else word for word in command))
        assert told.code == 2
        assert "judge in config.yaml is a setting of selfinstruct 999.1, which " in told.sentence


def swapped(lines: list[bytes]) -> list[bytes]:
    return [*lines[:9], lines[10], lines[9], *lines[11:]]


def with_a_commit_of(number: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def change(lines: list[bytes]) -> list[bytes]:
        place = next(n for n, line in enumerate(lines) if b'"committed"' in line)
        lines[place] = sealed(re.sub(rb'"number":\d+', b'"number":' + number, lines[place]))
        return lines

    return change


@pytest.mark.parametrize("command", [EACH[0], EACH[1]], ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [*lines[:9], b"\n", *lines[9:]], r"line 10 \(byte \d+\) does not begin as"),
        (lambda lines: [*lines[:9], b"\0" * 4096, *lines[9:]], "line 10 .* does not begin as a"),
        (lambda lines: [*lines[:9], b"x" * 9_000_000 + b"\n", *lines[9:]], "line 10 .* does not"),
        (lambda lines: [b"\xef\xbb\xbf", *lines], r"line 1 \(byte 0\) does not begin as"),
        (lambda lines: [line.replace(b'"text":"', b'"text":"\xff') for line in lines], "not JSON"),
        (swapped, "line 10 .* has number 11 where 10 was expected"),
        (lambda lines: lines[:9] + lines[10:], "line 10 .* has number 11 where 10 was expected"),
        (with_a_commit_of(b"7"), "cannot follow the lines before it .commit 7 cannot follow"),
    ],
)
def test_a_damaged_journal_is_left_as_it_is(
    here: Path,
    finished: Path,
    typed: Typed,
    command: tuple[str, ...],
    change: Callable[[list[bytes]], list[bytes]],
    said: str,
) -> None:
    (finished / "journal.jsonl").write_bytes(b"".join(change(lines_of(finished))))
    before = everything(here)
    told = typed(*(finished if word == "DIR" else word for word in command))
    assert (told.code, told.out) == (1, "")
    assert re.search(said, told.sentence), told.sentence
    assert "nothing was changed. Restore the file from a copy, or cut it before" in told.sentence
    assert everything(here) == before


@pytest.mark.parametrize(
    ("torn", "said"),
    [
        (b"{", "the last byte of run/journal.jsonl was no whole line; it is set aside in journal."),
        (b'{"', "the last 2 bytes of run/journal.jsonl were no whole line; they are set aside in "),
    ],
)
def test_what_is_set_aside_is_counted(finished: Path, typed: Typed, torn: bytes, said: str) -> None:
    path = finished / "journal.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    told = typed("run", finished)
    assert (told.code, told.out) == (0, "")
    assert told.err.startswith(said)


def test_a_run_that_is_being_written_can_be_read_and_exported_but_not_run(
    here: Path, finished: Path, typed: Typed
) -> None:
    with open_run(finished):
        before = everything(here)
        told = typed("run", finished)
        assert told.code == 2
        assert told.sentence == (
            f"run: process {os.getpid()} is writing this run; wait for it or stop it first"
        )
        assert everything(here) == before
        assert f"running (process {os.getpid()})" in typed("status", finished).out
        assert typed("export", finished, "-o", "out.json").code == 0
    assert (finished / LOCK).read_text() == ""


# ── exports ──────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_that_the_disk_does_not_give_are_the_machines_trouble(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> object:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(manifest, "read_yaml", failing)
    with pytest.raises(
        RunWriteError, match=r"config.yaml cannot be read \(Input/output error\); the disk"
    ):
        read_run(finished)


@pytest.mark.parametrize(
    "name", [*sorted(FILES), "prompts/classify.txt", "prompts/new.json", "link"]
)
def test_an_export_replaces_no_file_of_a_run(
    here: Path, finished: Path, typed: Typed, name: str
) -> None:
    (finished / "link").symlink_to("journal.jsonl")
    before = everything(here)
    told = typed("export", finished, "-o", finished / name)
    assert (told.code, told.out) == (2, "")
    assert re.search(r"is a part of the run in .*; choose .*/run/exports/", told.sentence)
    assert everything(here) == before


@pytest.mark.parametrize("name", ["run/mine.json", "run/exports/mine.json", "a/b/mine.json"])
def test_an_export_may_lie_beside_them_and_makes_its_folder(
    finished: Path, typed: Typed, name: str
) -> None:
    assert typed("export", finished, "-o", name).code == 0
    assert json.loads(Path(name).read_bytes())
    assert typed("verify", finished).code == 0


def test_a_folder_with_a_config_of_ones_own_is_no_run(
    here: Path, finished: Path, typed: Typed
) -> None:
    (here / "config.yaml").write_text("model: m\n")
    assert typed("export", finished, "-o", "seed_tasks.jsonl").code == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder", "folder: cannot be written .Is a directory.; name a file"),
        (
            "latin/x",
            "latin/x: cannot be written .Not a directory.; a part of that path is a file; check",
        ),
        ("loop/x", "loop/x: cannot be written "),
        (LONG, "aaa: cannot be written .File name too long.; choose a shorter name"),
        ("/proc/x", "/proc/x: cannot be written "),
        ("/dev/full", "/dev/full: cannot be written .No space left on device.; make room, then"),
    ],
)
def test_an_export_that_cannot_be_written_changes_nothing(
    here: Path, finished: Path, typed: Typed, name: str, said: str
) -> None:
    before = everything(here)
    told = typed("export", finished, "-o", name)
    assert (told.code, told.out) == (1, "")
    assert re.search(said, told.sentence), told.sentence
    assert everything(here) == before


# ── who may read what; names that would drive a terminal ─────────────────────────────────────────────────


def test_a_run_is_private_under_any_umask_as_far_as_it_holds_replies(
    tmp_path: Path, config: RunConfig
) -> None:
    before = os.umask(0)
    try:
        run(tmp_path / "run", config, backend=ScriptedBackend())
    finally:
        os.umask(before)
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "run").iterdir() if p.is_file()}
    assert modes == {
        "journal.jsonl": 0o600,
        LOCK: 0o600,
        "config.yaml": 0o644,
        "seed_tasks.jsonl": 0o644,
    }


def test_names_and_texts_that_could_drive_a_terminal_are_written_out(
    finished: Path, typed: Typed
) -> None:
    name = "a\x1b[2J\nb\u202e\x9b"
    finished.rename(name)
    told = [
        typed("status", name),
        typed("verify", name),
        typed("explain", name, "amber\x1b[2J"),
        typed("export", name, "-o", "\x1b[2J.json"),
        typed("run", name),
    ]
    assert [one.code for one in told] == [0, 0, 1, 0, 0]
    for one in told:
        assert not re.search("[\x1b\x9b\u202e]", one.out + one.err)
    assert "a\\x1b[2J\\nb\\u202e\\x9b: complete" in told[0].out
    assert "rows to \\x1b[2J.json" in told[3].err


# ── a disk that fails ────────────────────────────────────────────────────────────────────────────────────


class Disk:
    """Counts what needs a working disk, and fails from operation `first` on, once or for good."""

    def __init__(self, number: int, *, first: int | None = None, for_good: bool = False) -> None:
        self.done = 0
        self._number = number
        self._first = first
        self._for_good = for_good

    def touch(self, *_: object) -> None:
        self.done += 1
        if self._first is None or self.done < self._first:
            return
        if self._for_good or self.done == self._first:
            raise OSError(self._number, os.strerror(self._number))

    @contextmanager
    def in_use(self, monkeypatch: pytest.MonkeyPatch) -> Iterator["Disk"]:
        """Every write, sync, creation and renaming of this process passes through here."""
        disk = self
        real_open, real_fdopen = os.open, os.fdopen

        def opened(path: Any, flags: int, *rest: Any, **more: Any) -> int:
            if flags & os.O_CREAT:
                disk.touch()
            return real_open(path, flags, *rest, **more)

        class File(io.BufferedWriter):
            def write(self, data: Any) -> int:
                disk.touch()
                return super().write(data)

        def fdopened(fd: int, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if mode == "wb":
                return File(io.FileIO(fd, "w"))
            return real_fdopen(fd, mode, *rest, **more)

        def watched(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **more: Any) -> Any:
                disk.touch()
                return real(*arguments, **more)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", opened)
            patch.setattr(os, "fdopen", fdopened)
            for name in ("write", "pwrite", "fsync", "replace", "mkdir", "ftruncate"):
                patch.setattr(os, name, watched(getattr(os, name)))
            yield disk


@pytest.fixture
def small(seeds_file: Path) -> RunConfig:
    """A run of a few replies."""
    return RunConfig(model="scripted", num_instructions=3, seed_tasks=seeds_file)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_at_any_point_of_a_run_costs_nothing_that_was_acknowledged(
    tmp_path: Path,
    small: RunConfig,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    thorough: bool,
) -> None:
    """Of the whole directory: lock, templates, seed tasks, settings, journal; writes, syncs and names."""
    with Disk(number).in_use(monkeypatch) as disk:
        run(tmp_path / "whole", small, backend=ScriptedBackend())
    export_run(tmp_path / "whole", tmp_path / "whole.json")
    expected = (tmp_path / "whole.json").read_bytes()
    points = range(1, disk.done + 1)
    assert len(points) > 50
    tried = points if thorough else points[::5]
    failures: list[SelfInstructError] = []
    for first in tried:
        directory = tmp_path / f"failed-{first}"
        try:
            with Disk(number, first=first, for_good=number == errno.ENOSPC).in_use(monkeypatch):
                run(directory, small, backend=ScriptedBackend())
        except SelfInstructError as error:
            failures.append(error)
        kept = {
            entry.event.request_id
            for entry in read_journal(directory / "journal.jsonl")
            if isinstance(entry.event, Outcome)
        }
        assert not list(directory.rglob("*.tmp"))
        again = ScriptedBackend()
        run(directory, small, backend=again)
        assert not kept & set(again.asked)
        export_run(directory, tmp_path / "out.json")
        assert (tmp_path / "out.json").read_bytes() == expected
        shutil.rmtree(directory)
    assert len(failures) > 0.9 * len(tried) - 2  # who holds the lock may remain unsaid
    for failure in failures:
        assert failure.exit_code == 1
        assert str(failure).startswith(str(tmp_path / "failed-"))
        assert f"({os.strerror(number)}); " in str(failure)
        assert str(failure).endswith("then run the same command again")


def test_a_disk_that_fails_while_a_run_is_refiltered_leaves_what_the_same_command_completes(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "run"
    run(source, small, backend=ScriptedBackend())
    before = everything(source)
    with Disk(errno.ENOSPC).in_use(monkeypatch) as disk:
        refilter_run(source, tmp_path / "whole", {})
    failures = 0
    for first in range(1, disk.done + 1, 3):
        new = tmp_path / f"failed-{first}"
        with (
            Disk(errno.ENOSPC, first=first, for_good=True).in_use(monkeypatch),
            suppress(SelfInstructError),
        ):
            refilter_run(source, new, {})
        failures += not (new / "config.yaml").exists()
        if not (new / "config.yaml").exists():
            refilter_run(source, new, {})
        assert read_run(new).state.accepted == read_run(source).state.accepted
        assert not list(new.rglob("*.tmp"))
    assert failures > 5
    assert everything(source) == before


def test_a_disk_that_fails_while_settings_are_replaced_leaves_the_old_ones_or_the_new(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as nothing was paid for, a run takes other settings; not half of them."""
    with open_run(tmp_path / "run", small):
        pass
    for first in range(1, 12):  # until the new files are all on the disk and get their names
        with (
            Disk(errno.ENOSPC, first=first, for_good=True).in_use(monkeypatch),
            pytest.raises(SelfInstructError, match="make room") as caught,
            open_run(tmp_path / "run", {"recipe": "alpaca"}),
        ):
            pass
        assert caught.value.exit_code == 1
        assert read_run(tmp_path / "run").config.recipe == "self-instruct"
        assert not list((tmp_path / "run").rglob("*.tmp"))
    with open_run(tmp_path / "run", {"recipe": "alpaca"}) as opened:
        assert opened.config.recipe == "alpaca"


def test_a_disk_that_fails_while_a_torn_line_is_set_aside_loses_neither_it_nor_the_others(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path / "run", small, backend=ScriptedBackend())
    path = tmp_path / "run/journal.jsonl"
    whole, torn = path.read_bytes(), b'{"seq":99,"at":"2026'
    path.write_bytes(whole + torn)
    failures = 0
    for first in range(4, 99):  # after the lock
        try:
            with (
                Disk(errno.ENOSPC, first=first, for_good=True).in_use(monkeypatch),
                open_run(tmp_path / "run"),
            ):
                break
        except SelfInstructError:
            failures += 1
            kept = path.with_name("journal.jsonl.torn")
            assert path.read_bytes() == whole + torn or torn in kept.read_bytes()
            assert path.read_bytes().startswith(whole)
    assert failures >= 4
    with open_run(tmp_path / "run"):
        assert path.read_bytes() == whole


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_an_export_to_a_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, small: RunConfig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    run(tmp_path / "run", small, backend=ScriptedBackend())
    rows = [*provenance_rows(select(read_run(tmp_path / "run").state.pool))]
    target = tmp_path / "out" / "data.json"
    target.parent.mkdir()

    def write() -> None:
        target.write_bytes(b"old")
        with writing(target, Wanted()) as export:
            export.write(rows)

    with Disk(number).in_use(monkeypatch) as disk:
        write()
    data = target.read_bytes()
    assert disk.done >= 4
    for first in range(1, disk.done + 1):
        with (
            Disk(number, first=first).in_use(monkeypatch),
            pytest.raises(SelfInstructError, match=re.escape(os.strerror(number))) as caught,
        ):
            write()
        assert caught.value.exit_code == 1
        assert str(caught.value).startswith(str(target))
        # The last is the sync of the folder: the new file has its name by then.
        assert target.read_bytes() == (data if first == disk.done else b"old")
        assert [path.name for path in target.parent.iterdir()] == ["data.json"]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "choose a place that can be written"),
        (errno.EACCES, "change its permissions, or choose another place"),
    ],
)
def test_a_directory_that_may_not_be_written_is_named(
    here: Path,
    finished: Path,
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    remedy: str,
) -> None:
    before = everything(here)
    for arguments, name in (
        ((*NEW, "--seed-tasks", "seeds.jsonl"), "new: cannot be made"),
        (("run", finished, "-n", "99"), "run: cannot be written"),
    ):
        with Disk(number, first=1, for_good=True).in_use(monkeypatch):
            told = typed(*arguments)
        assert told.code == 2
        assert told.sentence == f"{name} ({os.strerror(number)}); {remedy}"
        assert everything(here) == before
    assert typed("status", finished).code == 0


# ── in a shell ───────────────────────────────────────────────────────────────────────────────────────────


def with_little_room(size: int) -> Callable[[], None]:
    """For a child process: no file may grow beyond so many bytes; writing more is an error, no signal."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_limit_on_the_size_of_files_stops_a_run_which_goes_on_without_it(
    here: Path,
) -> None:
    code = (
        "import sys; from support import ScriptedBackend; from selfinstruct import run\n"
        "from selfinstruct.errors import SelfInstructError\n"
        "try: run('new', {'model': 'm', 'num_instructions': 9, 'seed_tasks': 'seeds.jsonl'}, "
        "backend=ScriptedBackend())\n"
        "except SelfInstructError as error: print(error, file=sys.stderr); sys.exit(error.exit_code)"
    )
    where = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    told = []
    for size in (1_000, 9_000, None):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=here,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(where)},
            preexec_fn=with_little_room(size) if size else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        told.append((done.returncode, done.stderr.strip()))
    remedy = "(File too large); raise the limit on the size of files (ulimit -f), then run the same"
    assert [code for code, _ in told] == [1, 1, 0]
    assert told[0][1].startswith(f"new: cannot be written {remedy}")
    assert told[1][1].startswith(f"new/journal.jsonl: cannot be written {remedy}")
    commits = [
        e for e in read_journal(here / "new/journal.jsonl") if isinstance(e.event, Committed)
    ]
    assert [e.event.number for e in commits if isinstance(e.event, Committed)] == list(
        range(1, len(commits) + 1)
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("run -o new -m m", 2, "$OPENAI_API_KEY is not set; put your key there"),
        ("status $'no\\x1bne\\n'", 2, "no\\x1bne\\n: does not exist"),
        ("run -o new -m m --seed-tasks $'\\xff'", 2, "holds bytes that are no text"),
        ("parse - -s generate <&-", 2, "stdin: is closed; name a file"),
        ("statsu none", 2, "Did you mean 'status'?"),
        ("export none -o x 2>&-", 2, ""),
        ("run /dev/zero -o new", 2, "/dev/zero: is longer than"),
    ],
)
def test_in_a_bare_environment_it_is_still_one_sentence(
    here: Path, line: str, code: int, said: str
) -> None:
    """No HOME, no locale, no terminal."""
    before = everything(here)
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m selfinstruct {line}"],
        cwd=here,
        env={"PATH": os.environ["PATH"], "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert everything(here) == before


def test_a_directory_that_was_deleted_under_ones_feet_is_an_error_like_others(
    here: Path, finished: Path
) -> None:
    line = f"mkdir gone; cd gone; rmdir ../gone; {sys.executable} -m selfinstruct"
    for rest, code in ((f"export {here / finished} -o x.json", 1), ("status x", 2)):
        done = subprocess.run(
            ["bash", "-c", f"{line} {rest}"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == code
        assert re.fullmatch("selfinstruct: x.*\n", done.stderr), done.stderr
