"""Test that the journal keeps every stored event, whatever happens to the file or the process."""

import errno
import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_completion, sealed

from selfinstruct.errors import JournalCorruptError, JournalError
from selfinstruct.journal_events import (
    Accepted,
    Classified,
    Committed,
    CompletionReceived,
    Event,
    InstancesWritten,
    RequestFailed,
    RunFinished,
    RunStarted,
)
from selfinstruct.records import Instance, Neighbour, Reason, Rejection
from selfinstruct.runner import journal_line
from selfinstruct.runner.journal import Journal, later_writer, read_journal
from selfinstruct.runner.run_events import run_events

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
REJECTIONS = st.builds(
    Rejection,
    candidate_id=TEXT,
    stage=st.sampled_from(["parse", "filter", "novelty"]),
    reason=st.sampled_from(Reason),
    text=TEXT,
    nearest=st.none() | st.builds(Neighbour, task_id=TEXT, rouge_l=st.floats(0, 1)),
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        RunStarted,
        versions=st.dictionaries(TEXT, TEXT, max_size=2),
        settings=st.fixed_dictionaries(
            {},
            optional={
                "max_concurrency": st.integers(1, 9),
                "max_cost": st.none() | st.floats(0, 9),
            },
        ),
    ),
    st.builds(
        CompletionReceived,
        request_id=TEXT,
        stage=st.sampled_from(["generate", "classify", "instances"]),
        template=TEXT,
        prompt_sha256=TEXT,
        demonstration_ids=st.lists(TEXT, max_size=2).map(tuple),
        completion=st.builds(make_completion, TEXT, finish_reason=st.none() | TEXT),
    ),
    st.builds(
        RequestFailed,
        request_id=TEXT,
        stage=st.sampled_from(["generate", "classify", "instances"]),
        prompt_sha256=TEXT,
        problem=TEXT,
        status=st.integers(400, 499),
        attempts=st.integers(1, 9),
    ),
    st.builds(
        Committed,
        number=st.integers(1, 99),
        accepted=st.lists(
            st.builds(Accepted, candidate_id=TEXT, task_id=TEXT, instruction=TEXT), max_size=2
        ).map(tuple),
        rejected=st.lists(REJECTIONS, max_size=2).map(tuple),
    ),
    st.builds(
        Classified,
        task_id=TEXT,
        is_classification=st.booleans(),
        answer=st.sampled_from(["yes", "no", "unclear"]),
    ),
    st.builds(
        InstancesWritten,
        task_id=TEXT,
        instances=st.lists(st.builds(Instance, input=TEXT, output=TEXT), max_size=2).map(tuple),
        rejected=st.lists(REJECTIONS, max_size=2).map(tuple),
    ),
    st.builds(
        RunFinished, reason=st.sampled_from(["complete", "interrupted", "failed"]), detail=TEXT
    ),
)


def write(path: Path, *events: Event) -> None:
    with Journal(path, run_events) as journal:
        list(journal.replay())
        for event in events:
            journal.append(event)


def events_of(path: Path) -> list[Event]:
    return [entry.event for entry in read_journal(path)]


@given(st.lists(EVENTS, max_size=6))
def test_replay_yields_the_appended_events(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, *events)
    assert events_of(path) == events


@settings(max_examples=5)
@given(st.lists(EVENTS, min_size=1, max_size=3), EVENTS)
def test_a_cut_file_can_be_continued(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], later: Event
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, *events)
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        complete = data[:cut].count(b"\n")

        with Journal(path, run_events) as journal:
            replayed = [entry.event for entry in journal.replay()]
            journal.append(later)

        assert replayed == events[:complete]
        assert events_of(path) == [*events[:complete], later]


def test_a_reader_skips_an_incomplete_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, one_event(), one_event())
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    entries = read_journal(path)
    assert next(entries).seq == 1
    assert list(entries) == []
    # Another process may write the rest of the line while a reader is reading the file.
    reader = read_journal(path)
    next(reader)
    path.write_bytes(data)
    assert len(list(reader)) <= 1


def one_event() -> Event:
    return RunFinished(reason="complete")


def test_opening_moves_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, one_event())
    valid = path.read_bytes()
    path.write_bytes(valid + b'{"seq":2,"at":"2026')
    write(path)
    assert path.read_bytes() == valid
    assert (tmp_path / "journal.jsonl.torn").read_bytes() == b'{"seq":2,"at":"2026\n'


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda lines: [lines[0], b"nonsense\n", *lines[2:]], "does not begin like a journal line"),
        (lambda lines: [lines[0], b"\0" * 40 + b"\n", *lines[2:]], "does not begin like a journal"),
        (lambda lines: [lines[0], *lines[2:]], "has the number 3, but 2 was expected"),
        (lambda lines: [*lines, *lines], "has the number 1, but 4 was expected"),
        (lambda lines: [lines[0], b"\n", *lines[1:]], "does not begin like a journal line"),
        (lambda lines: [lines[0], b"x" * 2_000_000 + b"\n", lines[1]], "does not begin like a"),
        (lambda lines: [lines[0], lines[1].replace(b"complete", b"\xff"), lines[2]], "not JSON"),
        (lambda lines: [lines[0], lines[0], *lines[1:]], "has the number 1, but 2 was expected"),
        (lambda lines: [lines[0], lines[2], lines[1]], "has the number 3, but 2 was expected"),
        (
            lambda lines: [lines[0], lines[1], lines[2].replace(b"complete", b"failed")],
            "was changed after it was written: it does not match its checksum",
        ),
        (
            lambda lines: [*lines[:2], lines[2].replace(b'"seq"', b'"Seq"')],
            "was changed after it was written: it does not begin like",
        ),
        (
            lambda lines: [lines[0], lines[1][:-1] + b" " + lines[2]],
            "contains the beginning of another line",
        ),
        (
            lambda lines: [lines[0], sealed(lines[1].replace(b"-", b"-9", 1)), lines[2]],
            "has a time that does not exist",
        ),
        (
            lambda lines: [*lines[:2], sealed(re.sub(rb"-\d\d-", b"-13-", lines[2]))],
            r"has a time that does not exist .....-13-",
        ),
    ],
)
def test_a_damaged_line_is_an_error(
    tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], problem: str
) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, one_event(), one_event(), one_event())
    damaged = b"".join(damage(path.read_bytes().splitlines(keepends=True)))
    path.write_bytes(damaged)
    with pytest.raises(JournalCorruptError, match=problem) as caught:
        write(path)
    assert caught.value.line in (2, 3, 4)
    lines = damaged.splitlines(keepends=True)
    assert caught.value.offset == len(b"".join(lines[: caught.value.line - 1]))
    assert path.read_bytes() == damaged
    assert not (tmp_path / "journal.jsonl.torn").exists()


@pytest.mark.parametrize(
    "change",
    [
        (b'"kind":"run_finished"', b'"kind":"run_paused"'),  # an unknown kind
        (b'"detail":""', b'"detail":"","until":9'),  # an unknown member
        (b'"reason":"complete"', b'"reason":"paused"'),  # an unknown reason
        (b'"detail":""', b'"detail":["none"]'),  # an unexpected type
        (b'"reason":"complete",', b""),
    ],
)
@pytest.mark.parametrize("place", [1, 2])
def test_an_event_of_a_later_version_is_no_damage(
    tmp_path: Path, change: tuple[bytes, bytes], place: int
) -> None:
    """If it were reported as damage, users would truncate the journal there and lose paid replies."""
    path = tmp_path / "journal.jsonl"
    write(path, RunStarted(versions={"selfinstruct": "999.1"}, settings={}), *[one_event()] * 2)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[place] = sealed(lines[place].replace(*change))
    written = b"".join(lines)
    path.write_bytes(written)
    message = (
        rf"line {place + 1} was written by selfinstruct 999\.1, which is newer .*; nothing was changed\. "
        "Run the same command with that version"
    )
    for use in (events_of, write):
        with pytest.raises(JournalError, match=message) as caught:
            use(path)
        assert not isinstance(caught.value, JournalCorruptError)
    assert path.read_bytes() == written

    path.write_bytes(sealed(lines[0].replace(b"999.1", b"0.0.1")) + b"".join(lines[1:]))
    with pytest.raises(
        JournalError, match="a later version wrote it, or it was edited; nothing was"
    ):
        events_of(path)


@pytest.mark.parametrize(
    ("line", "writer"),
    [
        (b'{"seq":1,"at":"","kind":"run_started","versions":{"selfinstruct":"999"}}\n', "999"),
        (b'{"seq":1,"kind":"run_started","versions":{"selfinstruct":"999.0.0rc1"}}', "999.0.0rc1"),
        (b'{"kind":"run_started","versions":{"selfinstruct":"0.0.1"}}\n', ""),
        (b'{"kind":"run_started","versions":{"selfinstruct":"new"}}\n', ""),
        (b'{"kind":"run_started","versions":["selfinstruct"]}\n', ""),
        (b'{"kind":"run_started","versions":' + b"[" * 100_000, ""),
        (b'["run_started"]\n', ""),
        (b'{"kind":"run_started"\xff', ""),
        (b"", ""),
    ],
)
def test_the_last_version_is_found_on_damaged_lines(
    tmp_path: Path, line: bytes, writer: str
) -> None:
    (tmp_path / "journal.jsonl").write_bytes(b"\n?\n" + line)
    assert later_writer(tmp_path / "journal.jsonl") == writer
    assert later_writer(tmp_path / "none.jsonl") == ""


def test_several_events_are_appended_in_one_write(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(
        path, run_events, now=lambda: datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    ) as journal:
        list(journal.replay())
        journal.append(one_event(), one_event())
    first, second = path.read_bytes().splitlines()
    assert re.sub(rb'(?<="crc":")[0-9a-f]{8}(?=",)', b"CRC", first) == (
        b'{"seq":1,"at":"2026-01-31T23:59:59.000000Z","crc":"CRC","kind":"run_finished",'
        b'"reason":"complete","detail":""}'
    )
    assert second.startswith(b'{"seq":2,')


def test_the_journal_is_private_and_keeps_its_permissions(
    tmp_path: Path,
) -> None:
    """The umask has no effect. If a user shares the journal, the file with the torn line stays private."""
    path, torn = tmp_path / "journal.jsonl", tmp_path / "journal.jsonl.torn"
    before = os.umask(0)
    try:
        write(path, one_event())
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        path.write_bytes(path.read_bytes() + b"torn")
        write(path, one_event())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
    assert torn.stat().st_mode & 0o777 == 0o600


def test_append_needs_replay_first(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="not open"):
        Journal(tmp_path / "journal.jsonl", run_events).append(one_event())


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_failed_write_closes_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """After a failure, it is unknown what is on disk, so no event may be appended."""
    path = tmp_path / "journal.jsonl"
    with Journal(path, run_events) as journal:
        list(journal.replay())
        journal.append(one_event())

        def refuse(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, failing, refuse)
            with pytest.raises(JournalError, match="No space left on device"):
                journal.append(one_event())
        with pytest.raises(JournalError, match="not open"):
            journal.append(one_event())
    assert len(events_of(path)) >= 1


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    write_once = os.write
    with Journal(path, run_events) as journal:
        list(journal.replay())
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write_once(fd, bytes(data)[:7]))
            journal.append(one_event())
    assert events_of(path) == [one_event()]


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────


def small_journal(path: Path) -> bytes:
    """Write a journal with a start, a reply and a decision. Return its bytes."""
    completion = make_completion('9. Wäge 3 "Eier"\n\n', finish_reason="stop")
    write(
        path,
        RunStarted(versions={"selfinstruct": "1"}, settings={}),
        CompletionReceived(
            request_id="generate/000001",
            stage="generate",
            template="t@0",
            prompt_sha256="0",
            demonstration_ids=("a",),
            completion=completion,
        ),
        Committed(number=1, accepted=(), rejected=()),
    )
    return path.read_bytes()


def outcome_of(path: Path, data: bytes) -> tuple[list[Event], int] | None:
    """Open a journal with this data for writing. Return its events and torn bytes, or None on an error."""
    path.write_bytes(data)
    torn = path.with_name("journal.jsonl.torn")
    torn.unlink(missing_ok=True)
    problem = ""
    try:
        with Journal(path, run_events) as journal:
            events = [entry.event for entry in journal.replay()]
    except JournalError as error:
        problem = str(error)
    assert torn.exists() == bool(journal.torn_bytes)
    if not problem:
        return events, journal.torn_bytes
    assert re.search(r"line \d+ .*nothing was changed", problem)
    assert path.read_bytes() == data
    assert not torn.exists()
    return None


def test_every_changed_byte_is_detected(tmp_path: Path, thorough: bool) -> None:
    """Any changed byte results in an error or in a torn last line."""
    path = tmp_path / "journal.jsonl"
    data = small_journal(path)
    events = events_of(path)
    last = data.rindex(b"\n", 0, -1) + 1
    # After a change of a digit, quote or line end, the line may still be readable.
    values = range(256) if thorough else b"\n"
    for place, byte in enumerate(data):
        for value in {*values, byte ^ 1, byte ^ 32} - {byte}:
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            outcome = outcome_of(path, changed)
            if outcome is not None:
                assert place >= last, (place, value)
                assert outcome == (events[:-1], len(data) - last)


@settings(max_examples=60)
@given(st.lists(EVENTS, min_size=1, max_size=4), st.data())
def test_a_changed_byte_in_any_event_is_detected(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, *events)
    original = path.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != original[place]))
    outcome = outcome_of(path, original[:place] + bytes([value]) + original[place + 1 :])
    last = original.rfind(b"\n", 0, -1) + 1
    assert outcome is None or (place >= last and outcome == (events[:-1], len(original) - last))


@given(st.lists(EVENTS, min_size=2, max_size=5, unique_by=repr), st.data())
def test_moved_lines_are_detected(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], data: st.DataObject
) -> None:
    """Lines are swapped, repeated and removed. A valid journal remains only if the last lines are removed."""
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, *events)
    lines = path.read_bytes().splitlines(keepends=True)
    places = st.integers(0, len(lines) - 1)
    moved = data.draw(
        st.permutations(lines) | st.lists(places, max_size=7).map(lambda p: [lines[n] for n in p])
    )
    outcome = outcome_of(path, b"".join(moved))
    is_prefix = moved == lines[: len(moved)]
    assert outcome == ((events[: len(moved)], 0) if is_prefix else None)


def test_a_changed_last_reply_is_an_error(tmp_path: Path) -> None:
    """The reply was paid for, so the request must not be sent again unless the user decides so."""
    path = tmp_path / "journal.jsonl"
    data = small_journal(path)
    reply = data[: data.rindex(b"\n", 0, -1) + 1]
    offset = data.index(b"\n") + 1
    path.write_bytes(reply.replace(b"Eier", b"Eyer"))
    with pytest.raises(
        JournalCorruptError, match=rf"line 2 \(byte {offset}\) was changed"
    ) as caught:
        write(path)
    assert (caught.value.line, caught.value.offset) == (2, offset)


def test_the_documented_command_computes_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    second = small_journal(path).splitlines()[1]
    assert journal_line.__doc__ is not None
    (command,) = re.findall(r"^ +(sed -n 12p .*)$", journal_line.__doc__, re.MULTILINE)
    done = subprocess.run(
        ["sh", "-c", command.replace("12p", "2p")], cwd=tmp_path, capture_output=True, text=True
    )
    assert f'"crc":"{done.stdout.strip()}"'.encode() in second


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_concurrency": "many"}, "max_concurrency: must be a whole number, not 'many'"),
        ({"max_concurrency": 0}, "max_concurrency: must be between 1 and 4096"),
        ({"max_concurrency": True}, "max_concurrency: must be a whole number"),
        ({"max_concurrency": None}, "max_concurrency: must be a whole number"),
        ({"max_time_s": "8h"}, r"not in its standard form \(max_time_s\)"),
        ({"extra_header": "A: b"}, r"not in its standard form \(extra_header\)"),
        ({"max-concurrency": 4}, "sets 'max-concurrency', which cannot be changed after the run"),
        ({"threshold": 0.5}, "sets 'threshold', which cannot be changed after the run is created"),
        ({"judge": 1}, "sets 'judge', which cannot be changed after the run is created"),
        ({"max_concurrency": ("4",)}, "max_concurrency: must be a whole number"),
    ],
)
def test_impossible_settings_of_a_start_are_errors(
    tmp_path: Path, values: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "journal.jsonl"
    write(path, one_event(), RunStarted(versions={}, settings=values), one_event())
    before = path.read_bytes()
    for use in (events_of, write):
        with pytest.raises(JournalError, match=f"line 2 .*{problem}.*nothing was changed"):
            use(path)
    assert path.read_bytes() == before
