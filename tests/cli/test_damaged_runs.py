"""If a run's files were changed by something else, commands do not change them further."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_input import EACH, NEW, Typed, check, everything
from support import make_seed_task, sealed, sealed_journal

from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.runner.directory import open_run
from selfinstruct.runner.run_file_names import LOCK


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
    ("config.yaml", changed, ("threshold: 0.7", "threshold: 0.6"), "settings "),
    ("config.yaml", changed, ("threshold: 0.7", "threshold: high"), "threshold in config"),
    (
        "config.yaml",
        changed,
        ("threshold: 0.7", "treshold: 0.7"),
        "treshold in config.*it was edit",
    ),
    ("config.yaml", appended, ("x: [",), f"config.yaml is damaged; {AGAIN}"),
    ("config.yaml", appended, ("a: &a [x]\nb: *a",), f"config.yaml is damaged; {AGAIN}"),
    ("config.yaml", appended, ("y: " + "[" * 2000,), f"config.yaml is damaged; {AGAIN}"),
    ("prompts/classify.txt", appended, ("more",), f"classify.txt is not the file .* with; {AGAIN}"),
    (
        "prompts/classify.txt",
        appended,
        ("{{",),
        f"classify.txt is not the file .*: line .*; {AGAIN}",
    ),
    ("prompts/classify.txt", removed, (), f"classify.txt is not .*: it cannot be read.*; {AGAIN}"),
    ("seed_tasks.jsonl", changed, ("amber", "green"), f"seed_tasks.jsonl is not .*; {AGAIN}"),
    ("seed_tasks.jsonl", appended, ("?",), f"seed_tasks.jsonl is not .*: line 11 .*; {AGAIN}"),
    ("seed_tasks.jsonl", removed, (), f"seed_tasks.jsonl is not .*: it cannot be.*; {AGAIN}"),
]


@pytest.mark.parametrize(("name", "spoil", "how", "pattern"), SPOILED)
def test_a_run_with_changed_files_is_refused(
    here: Path,
    finished: Path,
    typed: Typed,
    name: str,
    spoil: Callable[..., None],
    how: tuple[str, ...],
    pattern: str,
) -> None:
    spoil(finished / name, *how)
    before = everything(here)
    for command in EACH[:2]:
        ended = typed(*(finished if word == "DIR" else word for word in command))
        check(ended, pattern)
        assert everything(here) == before


def test_other_settings_are_listed_with_both_values(
    here: Path, finished: Path, typed: Typed
) -> None:
    (here / "other.jsonl").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(11)]))
    before = everything(here)
    ended = typed("run", finished, "-m", "m", "-t", "0.6", "--seed-tasks", "other.jsonl")
    assert (ended.code, ended.out) == (2, "")
    for part in (
        "model is 'scripted' in the run, but 'm' was given",
        "threshold is 0.7 in the run, but 0.6 was given",
        "seed_tasks is 'other content' in the run, but 'other.jsonl' was given",
        "Leave these settings out to continue the run, or choose another directory for a new run.",
    ):
        assert part in ended.sentence
    assert everything(here) == before


def test_a_run_without_settings_does_not_restart(here: Path, finished: Path, typed: Typed) -> None:
    (finished / "config.yaml").unlink()
    before = everything(here)
    for ended in (typed(*NEW, "-o", finished), typed("run", finished)):
        assert ended.code == 2
        assert re.search(
            r"run: contains a journal but no config.yaml.*; restore .* copy", ended.sentence
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
def test_a_journal_of_a_later_version_is_refused(
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
    ended = typed(*(finished if word == "DIR" else word for word in command))
    assert (ended.code, ended.out) == (2, "")
    pattern = (
        "selfinstruct 999.1.2, which is newer" if version else "a later version wrote it, or it was"
    )
    for part in (
        "run/journal.jsonl: line 10 ",
        pattern,
        "nothing was changed",
        "Run the same comm",
    ):
        assert part in ended.sentence
    assert "delete that line" not in ended.sentence  # which would delete paid replies
    assert everything(here) == before


def test_a_setting_of_a_later_version_is_refused(finished: Path, typed: Typed) -> None:
    lines = lines_of(finished)
    lines[0] = re.sub(rb'"selfinstruct":"[^"]*"', b'"selfinstruct":"999.1"', lines[0])
    (finished / "journal.jsonl").write_bytes(sealed_journal(lines))
    changed(finished / "config.yaml", "threshold: 0.7", "threshold: 0.7\n  judge: x")
    for command in EACH[:2]:
        ended = typed(*(finished if word == "DIR" else word for word in command))
        assert ended.code == 2
        assert "judge in config.yaml was written by selfinstruct 999.1, which " in ended.sentence


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
    ("change", "pattern"),
    [
        (
            lambda lines: [*lines[:9], b"\n", *lines[9:]],
            r"line 10 \(byte \d+\) does not begin like",
        ),
        (lambda lines: [*lines[:9], b"\0" * 4096, *lines[9:]], "line 10 .* does not begin like a"),
        (lambda lines: [*lines[:9], b"x" * 9_000_000 + b"\n", *lines[9:]], "line 10 .* does not"),
        (lambda lines: [b"\xef\xbb\xbf", *lines], r"line 1 \(byte 0\) does not begin like"),
        (lambda lines: [line.replace(b'"text":"', b'"text":"\xff') for line in lines], "not JSON"),
        (swapped, "line 10 .* has the number 11, but 10 was expected"),
        (lambda lines: lines[:9] + lines[10:], "line 10 .* has the number 11, but 10 was expected"),
        (with_a_commit_of(b"7"), "cannot follow the lines before it .commit 7 cannot follow"),
    ],
)
def test_a_damaged_journal_is_not_changed(
    here: Path,
    finished: Path,
    typed: Typed,
    command: tuple[str, ...],
    change: Callable[[list[bytes]], list[bytes]],
    pattern: str,
) -> None:
    (finished / "journal.jsonl").write_bytes(b"".join(change(lines_of(finished))))
    before = everything(here)
    ended = typed(*(finished if word == "DIR" else word for word in command))
    check(ended, pattern, code=1)
    assert (
        "nothing was changed. Restore the file from a copy, or delete that line" in ended.sentence
    )
    assert everything(here) == before


@pytest.mark.parametrize(
    ("torn", "pattern"),
    [
        (
            b"{",
            "the last line of run/journal.jsonl was incomplete; moved its 1 byte to journal.jsonl.torn",
        ),
        (
            b'{"',
            "the last line of run/journal.jsonl was incomplete; moved its 2 bytes to journal.jsonl.torn",
        ),
    ],
)
def test_a_torn_line_is_moved(finished: Path, typed: Typed, torn: bytes, pattern: str) -> None:
    path = finished / "journal.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    ended = typed("run", finished)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith(pattern)


def test_a_running_run_can_be_read_only(here: Path, finished: Path, typed: Typed) -> None:
    with open_run(finished):
        before = everything(here)
        ended = typed("run", finished)
        assert ended.code == 2
        assert ended.sentence == (
            f"run: process {os.getpid()} is writing to this run; wait for it or stop it first"
        )
        assert everything(here) == before
        assert f"running (process {os.getpid()})" in typed("status", finished).out
        assert typed("export", finished, "-o", "out.json").code == 0
    assert (finished / LOCK).read_text() == ""
