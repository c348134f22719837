"""After wrong usage, commands say what to type instead and change no files."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bad_input import LONG, LOOK, NEW, Typed, check, everything
from waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("arguments", "pattern"),
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
        (("explain", "run", " "), r"TEXT\|ID: "),
        (("verify", "run", "more"), r"unexpected extra argument\(s\) \(more\)"),
        (("status",), "Missing argument 'DIR'"),
        (("run",), "specify the run directory with -o DIR"),
        (("run", "run", "-o", "new"), "run is a directory; with -o, specify"),
        (("run", "none.yaml", "-o", "new"), "none.yaml does not exist; start a new run with"),
        (("run", "folder"), "folder is not a run directory; start a new run with -o DIR"),
        (("run", "folder", *NEW[3:]), "folder is not a run directory; start a new run"),
        (("doctor", "folder"), "folder is not a run directory; start a new run with -o DIR"),
        (("run", "."), r"\. is not a run directory; start a new run with -o DIR"),
        (("run", LONG), "aaa: cannot be read .File name too long.; choose a shorter name"),
        (("run", LONG, "-o", "new"), "aaa: cannot be read .File name too long.; choose a shorter"),
        (("run", "loop"), "loop: cannot be read .*leads back to itself; choose another file"),
        (("run", "latin/x"), "latin/x: cannot be read .Not a directory.; part of the path is a"),
        ((*NEW, "-m", " "), "model: is blank; specify a model"),
        (NEW[:3], "model: is missing; choose a model, for example with --model gpt-5.4-mini"),
        ((*NEW, "-t", "abc"), "'--threshold' / '-t'.*number"),
        ((*NEW, "-t", "-0.1"), "threshold: must be between 0 and 1, not -0.1"),
        ((*NEW, "-t", "1.5"), "threshold: must be between 0 and 1, not 1.5"),
        ((*NEW, "-t", "nan"), "threshold: must be a finite number, not nan"),
        ((*NEW, "-n", "0"), "num_instructions: must be at least 1, not 0"),
        ((*NEW, "-n", "-5"), "num_instructions: must be at least 1, not -5"),
        ((*NEW, "-n", "1e6"), "'--num-instructions' / '-n'.*integer"),
        ((*NEW, "-n"), "'-n' requires an argument"),
        ((*NEW, "--recipe", "self"), r"recipe: must be self-instruct.* or \w+, not 'self'"),
        ((*NEW, "--base-url", "http://a\x7fb/v1"), "base_url: must be an address such as http://"),
        ((*NEW, "--base-url", "ftp://x"), "base_url: must be an address such as http://localhost"),
        ((*NEW, "--set", "generated_demonstrations=9"), "generated_demonstrations: "),
        ((*NEW, "--api-key-env", "sk-proj-1"), "name of an environment variable"),
        ((*NEW, "--set", "generate_temperature=.nan"), "finite number"),
        ((*NEW, "--seed-tasks", "no.jsonl"), "no.jsonl: cannot be read"),
        (("simulate", "--latency-ms", "fast"), "expected milliseconds"),
        (("parse", "seeds.jsonl"), "Missing option '--stage' / '-s'"),
        (("parse", "seeds.jsonl", "-s", "generate"), "seeds.jsonl:1: has no 'completion'"),
    ],
)
def test_wrong_usage_gets_one_sentence(
    here: Path, finished: Path, typed: Typed, arguments: tuple[str, ...], pattern: str
) -> None:
    assert finished.is_dir()
    before = everything(here)
    check(typed(*arguments), pattern)
    assert everything(here) == before


@pytest.mark.parametrize(
    ("environ", "pattern"),
    [
        ({}, r"\$OPENAI_API_KEY is not set; put your key there, or choose another endpoint"),
        ({"OPENAI_API_KEY": " \t"}, r"\$OPENAI_API_KEY is not set; put your key there"),
        (
            {"OPENAI_API_KEY": "sk-a\nb"},
            r"\$OPENAI_API_KEY contains a space, line break or non-ASCII",
        ),
        ({"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "me"}, r"\$OPENAI_BASE_URL: must be an addr"),
    ],
)
def test_a_bad_key_or_address_prevents_the_run(
    here: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], pattern: str
) -> None:
    before = everything(here)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ended = typed(*NEW[:5])
    check(ended, pattern)
    assert "sk-a" not in ended.err
    assert everything(here) == before


@pytest.mark.parametrize("last", [(), ("--preview",)])
def test_a_missing_file_comes_before_a_key(here: Path, typed: Typed, last: tuple[str, ...]) -> None:
    before = everything(here)
    ended = typed("run", "-o", "new", "-m", "m", "--seed-tasks", "none.jsonl", *last)
    check(ended, r"none\.jsonl: cannot be read \(No such file or directory\)")
    assert everything(here) == before


@pytest.mark.parametrize(
    ("environ", "pattern"),
    [
        ({"ALL_PROXY": "socks5://me:hunter2@h"}, r"\$ALL_PROXY: is a SOCKS proxy.*socksio"),
        ({"all_proxy": "socks5h://h"}, r"\$all_proxy: is a SOCKS proxy.*pip install socksio"),
        ({"HTTP_PROXY": "foo://me:hunter2@h"}, r"\$HTTP_PROXY: must be a proxy address"),
        ({"https_proxy": "http://me:hunter2@[::1"}, r"\$https_proxy: must be a proxy address"),
        ({"HTTP_PROXY": "http://me:hunter2@a\x7fb"}, r"\$HTTP_PROXY: must be a proxy address"),
        (
            {"SSL_CERT_FILE": "/nonexistent"},
            r"\$SSL_CERT_FILE: the trusted certificates cannot be read \(No such file.*\); choose another",
        ),
        (
            {"SSL_CERT_FILE": "/dev/null"},
            r"\$SSL_CERT_FILE: .*\(it contains no certificates\); choose",
        ),
        ({"OPENAI_BASE_URL": "http://a\x7fb/v1"}, r"\$OPENAI_BASE_URL: must be an address such"),
    ],
)
@pytest.mark.parametrize("is_preview", [False, True])
def test_a_bad_proxy_or_certificate_prevents_the_run(
    here: Path,
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    pattern: str,
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
    ended = typed(*NEW[:5], *(["--preview"] if is_preview else []))
    check(ended, pattern)
    assert "hunter2" not in ended.err
    assert everything(here) == before
    doctor = typed("doctor", "-m", "m")
    assert doctor.code == 2
    assert "No request was sent." in doctor.out
    assert "hunter2" not in doctor.out + doctor.err


NO_RUN = [
    ("none", "none: does not exist "),
    ("folder", "folder: is not a run directory "),
    ("latin", "latin: is a file, "),
    ("latin/x", "latin/x: does not exist "),
    ("loop", "loop: cannot be read .*leads back to itself"),
    (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
    ("no\x1b[2Jne\n", r"no\\x1b\[2Jne\\n: does not exist"),
]


@pytest.mark.parametrize("command", LOOK, ids=lambda command: command[0])
@pytest.mark.parametrize(("name", "pattern"), NO_RUN)
def test_commands_refuse_what_is_no_run(
    here: Path, typed: Typed, command: tuple[str, ...], name: str, pattern: str
) -> None:
    if command[0] == "export" and name == "latin":
        pattern = "latin: .*format"  # export also accepts a file of records
    before = everything(here)
    ended = typed(*(name if word == "DIR" else word for word in command))
    check(ended, pattern)
    assert everything(here) == before


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("latin", "latin: is a file; choose a new directory"),
        ("latin/x", "latin/x: has a parent that is a file; choose a new directory"),
        ("loop", "loop: cannot be read .*leads back to itself"),
        (LONG, "aaa: cannot be read .File name too long.; choose a shorter name"),
        ("/proc/new", "/proc/new: cannot be made .*; check the name"),
        (".", r"\.: is not a run directory and is not empty .*; choose a new directory"),
    ],
)
def test_a_run_needs_a_new_directory(
    here: Path, finished: Path, typed: Typed, name: str, pattern: str
) -> None:
    before = everything(here)
    for ended in (typed(*NEW, "-o", name), typed("refilter", finished, "-o", name)):
        check(ended, pattern)
        assert everything(here) == before


@pytest.mark.parametrize(
    ("line", "code", "pattern"),
    [
        ("run -o new -m m", 2, "$OPENAI_API_KEY is not set; put your key there"),
        ("status $'no\\x1bne\\n'", 2, "no\\x1bne\\n: does not exist"),
        ("run -o new -m m --seed-tasks $'\\xff'", 2, "contains bytes that are not text"),
        ("parse - -s generate <&-", 2, "stdin: is closed; specify a file"),
        ("statsu none", 2, "Did you mean 'status'?"),
        ("export none -o x 2>&-", 2, ""),
        ("run /dev/zero -o new", 2, "/dev/zero: is longer than"),
    ],
)
def test_a_bare_environment_gets_one_sentence(
    here: Path, line: str, code: int, pattern: str
) -> None:
    """The environment has no HOME and no locale, and stdin is not a terminal."""
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
    assert pattern in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert everything(here) == before


def test_a_deleted_current_directory_is_an_error(here: Path, finished: Path) -> None:
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
