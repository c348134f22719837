"""Test that with any value in a journal, each command works or reports the problem without a traceback."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import FaultyBackend, ScriptedBackend, examples, exported, sealed, typed

from selfinstruct.analysis.estimate import estimate_of
from selfinstruct.analysis.explain import explain
from selfinstruct.analysis.explain.history import History
from selfinstruct.analysis.refilter.directory import refilter_run
from selfinstruct.analysis.verify import verify
from selfinstruct.api import import_run, run
from selfinstruct.errors import JournalError, SelfInstructError
from selfinstruct.journal_events import Event
from selfinstruct.records import Neighbour, Strict, Usage
from selfinstruct.runner.directory import read_history, read_run

FOLDER = TemporaryDirectory()
Place = tuple[str | int, ...]
REMOVED = object()
WRONG: tuple[object, ...] = (
    REMOVED, None, True, -1, 0, 7, 0.5, 10**30, -(10**30), 1e308, float("nan"), float("inf"),
    "", "x", "9" * 400, "1E+999999", "-1", "NaN", "\0", "2026-13-01T00:00:00.000000Z", "00000000",
    "task_999999", "task_000001", "generate/000001", "#-1", "generate/000001#²", [], ["x"], {}, {"x": 1},
)  # fmt: skip


@cache
def made(name: str) -> Path:
    """Create the run with this name. Together, the runs contain all kinds of events."""
    directory = Path(mkdtemp(dir=FOLDER.name)) / "run"
    if name == "imported":
        rows = directory.with_name("rows.json")
        rows.write_text(
            json.dumps([{"instruction": f"Name {w}.", "output": w[1:]} for w in ("aa", "b")])
        )
        import_run(directory, [rows], {"num_instructions": 5})
    limits = {"max_cost": 5.0, "price_input": 1.0, "price_output": 2.0}
    run(directory, {"model": "m", "num_instructions": 9, **limits}, backend=FaultyBackend())
    if name == "refiltered":
        refilter_run(directory, directory.with_name("new"), {"threshold": 0.6})
        return directory.with_name("new")
    return directory


def lines_of(directory: Path) -> list[bytes]:
    return (directory / "journal.jsonl").read_bytes().splitlines(keepends=True)


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the place of each value nested in `value`."""
    names = value if isinstance(value, dict) else range(len(value))
    for name in names:
        yield (*place, name)
        if isinstance(value[name], dict | list):
            yield from places(value[name], (*place, name))


@cache
def cases(name: str) -> list[tuple[int, Place]]:
    """Return all places in the first two lines of each kind, as (line index, place)."""
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for n, line in enumerate(map(json.loads, lines_of(made(name)))):
        seen[line["kind"], line.get("stage", "")] += 1
        if seen[line["kind"], line.get("stage", "")] <= 2:
            chosen += [(n, place) for place in places(line)]
    return chosen


def changed(line: bytes, place: Place, value: object) -> bytes:
    """Return the line with the value at `place` replaced or removed, and with a correct checksum."""
    document = json.loads(line)
    inner = document
    for name in place[:-1]:
        inner = inner[name]
    if value is REMOVED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"
    return (
        sealed(text.encode())
        if "crc" in document and len(str(document["crc"])) == 8
        else text.encode()
    )


def use(directory: Path) -> None:
    """Read the run in all possible ways. The only exceptions that may be raised are SelfInstructErrors."""

    def look_up() -> None:
        history = History(*read_history(directory))
        for query in ("generate/000001", "task_000001", "generate/000001#1", "the"):
            explain(history, query)

    def again() -> None:
        if read_run(directory).state.source is None:
            refilter_run(directory, directory.with_name("again"), {"threshold": 0.5})

    def go() -> None:
        if read_run(directory).state.source is None:
            run(directory, {"num_instructions": 11}, backend=ScriptedBackend())

    for reads in (
        lambda: exported(directory),
        lambda: verify(*read_history(directory)),
        look_up,
        lambda: estimate_of(read_run(directory)),
        again,
        go,
    ):
        try:
            reads()
        except SelfInstructError as error:
            assert not isinstance(error, JournalError) or ": line " in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["grown", "imported", "refiltered"])
def test_no_value_in_a_journal_breaks_a_command(name: str) -> None:
    @settings(max_examples=examples(25))
    @given(st.data())
    def law(data: st.DataObject) -> None:
        n, place = data.draw(st.sampled_from(cases(name)))
        attempt(name, n, place, data.draw(st.sampled_from(WRONG)))

    law()


def attempt(name: str, n: int, place: Place, value: object) -> None:
    """Read a copy of a run in which one value was changed."""
    directory = Path(mkdtemp(dir=FOLDER.name)) / "run"
    try:
        shutil.copytree(made(name), directory)
        lines = lines_of(directory)
        lines[n] = changed(lines[n], place, value)
        (directory / "journal.jsonl").write_bytes(b"".join(lines))
        done = typed("status", directory, "--json")
        assert done.returncode in (0, 1, 2)
        assert "Traceback" not in done.stderr
        use(directory)
    finally:
        shutil.rmtree(directory.parent)


@pytest.mark.parametrize(
    ("name", "kind", "place", "value", "problem"),
    [
        (
            "grown",
            "completion_received",
            ("completion", "latency_s"),
            1e308,
            r"cannot have taken 1e\+308 s",
        ),
        (
            "grown",
            "completion_received",
            ("completion", "latency_s"),
            -1,
            r"cannot have taken -1\.0 s",
        ),
        ("grown", "completion_received", ("demonstration_ids", 0), "x", "shows the unknown task x"),
        (
            "grown",
            "completion_received",
            ("request_id",),
            "x",
            "x is not a request in the stage gen",
        ),
        ("refiltered", "request_failed", ("request_id",), "#", "# is not a request in the stage"),
        ("grown", "reserved", ("prompt_tokens",), -1, "cannot reserve a negative number of tokens"),
        ("grown", "run_started", ("settings", "max_concurrency"), "many", "not 'many'"),
        ("grown", "run_started", ("at",), "2026-13-01T00:00:00.000000Z", "does not exist .2026-13"),
    ],
)
def test_an_impossible_value_is_an_error_with_line(
    name: str, kind: str, place: Place, value: object, problem: str
) -> None:
    lines = lines_of(made(name))
    n = next(n for n, line in enumerate(lines) if b'"kind":"%s"' % kind.encode() in line)
    directory = Path(mkdtemp(dir=FOLDER.name)) / "run"
    shutil.copytree(made(name), directory)
    lines[n] = changed(lines[n], place, value)
    (directory / "journal.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match=rf": line {n + 1} .*{problem}.*; nothing was changed"):
        read_run(directory)
    attempt(name, n, place, value)
    shutil.rmtree(directory.parent)


def test_every_record_in_a_journal_is_strict() -> None:
    """A value of another type must not become a valid record."""

    def reachable(kind: Any) -> set[type]:
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            hints = get_type_hints(kind).values()
            return {kind}.union(*(reachable(hint) for hint in hints))
        return set().union(*(reachable(part) for part in get_args(kind)))

    records = reachable(Event)
    assert {Usage, Neighbour} < records
    assert [record for record in records if not issubclass(record, Strict)] == []
