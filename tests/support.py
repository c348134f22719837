"""Shared test helpers: values with defaults, backends without a server, and commands run in this process."""

import hashlib
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import chdir, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NoReturn
from unittest.mock import patch

import pytest
from hypothesis import settings
from waiting import PATIENCE_S

from selfinstruct.backend import Backend
from selfinstruct.cli import main
from selfinstruct.dataset.export.export_options import ExportOptions
from selfinstruct.dataset.export.writing import writing
from selfinstruct.dataset.rows import provenance_rows, select
from selfinstruct.errors import RequestRejectedError
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Completion, Instance, Request, SeedTask, Usage
from selfinstruct.runner.directory import read_run

WORDS = (
    "amber bridge candle dolphin engine forest garden harbour island jacket kettle ladder mirror needle "
    "orchard piano quarry river saddle tunnel umbrella valley window yeast zipper anchor basket copper "
    "desert elbow feather glacier hammer insect jungle knight lantern meadow nutmeg oyster pepper quilt "
    "ribbon shovel thunder urn velvet walnut xylophone yacht"
).split()


def make_seed_task(number: int, *, instruction: str = "") -> SeedTask:
    """Return a seed task with a unique instruction."""
    words = [WORDS[(number * 7 + n * 11) % len(WORDS)] for n in range(3)]
    return SeedTask(
        id=f"seed_task_{number}",
        name=f"seed_{number}",
        instruction=instruction
        or f"Explain how a {words[0]} and a {words[1]} affect {words[2]} {number}.",
        instances=(Instance(input="", output=f"It does {number}."),),
        is_classification=number % 5 == 0,
    )


def request_log(path: Path) -> list[dict[str, Any]]:
    """Return the entries in a simulated endpoint's request log. An incomplete last line is left out."""
    complete, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    return [json.loads(line) for line in complete.splitlines()]


def cuts(journal: bytes) -> list[int]:
    """Return the lengths that a test should truncate a journal to.

    These are the end of each line, with and without its newline, and one place within each line. One place is
    enough, because tests/runner/test_journal.py truncates a journal at every byte and shows that a reader
    always drops exactly the incomplete line.
    """
    rng = Random(len(journal))
    ends = [0, *(place.end() for place in re.finditer(rb"\n", journal))]
    inside = [rng.randrange(start + 1, end) for start, end in itertools.pairwise(ends)]
    return sorted({*ends, *inside, *(end - 1 for end in ends[1:])})


def make_completion(text: str = "9. Name three rivers of Europe.", **changes: Any) -> Completion:
    """Return a completion with default values, except for `changes`."""
    fields: dict[str, Any] = {
        "text": text,
        "finish_reason": "stop",
        "model": "scripted",
        "usage": Usage(prompt_tokens=100, completion_tokens=len(text.split())),
    }
    return Completion(**(fields | changes))


def scripted_text(request: Request) -> str:
    """Return a reply that depends only on the prompt: new instructions, with some duplicates and faults."""
    prompt = request.prompt.messages[-1].content
    rng = Random(hashlib.sha256(prompt.encode()).hexdigest())

    def word() -> str:
        return WORDS[int(rng.random() * len(WORDS))]

    if request.stage == "generate":
        shown = re.findall(r"^\d+\. (.*)$", prompt, re.MULTILINE)
        lines = []
        for number in range(9, 12):
            fresh = f"Describe the {word()} of a {word()} beside the {word()} {word()}."
            kind = rng.random()
            if kind < 0.15:
                fresh = f"{shown[0]} Briefly."
            elif kind < 0.25:
                fresh = "Draw a picture."
            lines.append(f"{number}. {fresh}")
        return "\n".join(lines)
    if request.stage == "classify":
        return "Yes" if rng.random() < 0.2 else "No"
    if "Class label:" in prompt:
        return f"Class label: {word()}\nInput: {word()}\nClass label: {word()} {word()}\nInput: x {word()}"
    return (
        f"Input: {word()}\nOutput: {word()} {word()}" if rng.random() < 0.6 else f"Output: {word()}"
    )


class ScriptedBackend:
    """A backend that completes each request with the text from `write`, and records the requests' ids."""

    def __init__(
        self,
        write: Callable[[Request], str] = scripted_text,
        *,
        pause: Callable[[Request], Awaitable[None]] | None = None,
    ) -> None:
        self._write = write
        self._pause = pause
        self.asked: list[str] = []

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request.id)
        if self._pause is not None:
            await self._pause(request)
        return make_completion(self._write(request))


def as_backend(backend: Backend) -> Backend:
    """Return the backend unchanged. The type checker verifies that it is a `Backend`."""
    return backend


def sealed(line: bytes) -> bytes:
    """Return the journal line with its checksum corrected."""
    head, crc, rest = line.partition(b'"crc":"')
    return b"%s%08x%s" % (head + crc, zlib.crc32(head + crc + rest[8:]), rest[8:])


def sealed_journal(lines: Iterable[bytes]) -> bytes:
    """Return the journal lines as one text, with their numbers and checksums corrected."""
    numbered = (b'{"seq":%d,%s' % (n, line.split(b",", 1)[1]) for n, line in enumerate(lines, 1))
    return b"".join(map(sealed, numbered))


ROOT = Path(__file__).resolve().parents[1]


def alpaca_text(request: Request) -> str:
    """Return a reply for the recipe "alpaca": numbered blocks, with some duplicates and faults."""
    prompt = request.prompt.messages[-1].content
    rng = Random(request.prompt.sha256)
    shown = prompt.rpartition("1. Instruction: ")[2].partition("\n")[0]
    blocks = []
    for number in range(4, 9):
        words = " ".join(rng.sample(_MORE_WORDS, 5))
        kind = rng.random()
        instruction = f"Explain {words}."
        if kind < 0.2:
            instruction = f"{shown} Please"
        elif kind < 0.3:
            instruction = "Draw a picture of it."
        output = "" if 0.3 < kind < 0.4 else f"So it is {rng.randrange(9)}."
        given = "<noinput>" if rng.random() < 0.5 else f"On {rng.choice(_MORE_WORDS)}."
        heading = "" if number == 4 else f"{number}. Instruction: "
        blocks.append(
            f"{heading}{instruction}\n{number}. Input:\n{given}\n{number}. Output:\n{output}\n"
        )
    return "###\n".join(blocks)


_MORE_WORDS = (
    "acorn badge cedar drum easel flute grain heron inkwell jigsaw kelp lemon maple nest otter pebble quill "
    "raven spoon thimble urchin vase wagon yarrow zebra almond bonnet comet dune ember fern gravel"
).split()


class FaultyBackend(ScriptedBackend):
    """A scripted backend that gives some unclear answers at first, and rejects some requests."""

    async def complete(self, request: Request) -> Completion:
        completion = await super().complete(request)
        rng = Random(request.id)
        if rng.random() < 0.08 and len(self.asked) > 3:
            raise RequestRejectedError("too rude", status=400)
        if request.stage == "classify" and rng.random() < 0.5:
            return replace(completion, text="Sure, go ahead.")
        if request.stage == "generate" and rng.random() < 0.3:
            return replace(completion, finish_reason="length")
        return completion


def exported(source: Path | RunState, format: str = "jsonl") -> bytes:  # noqa: A002
    """Return the bytes of a run's export. The run is given by its directory or its state."""
    state = source if isinstance(source, RunState) else read_run(source).state
    with TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        with writing(path, ExportOptions(format=format)) as export:
            export.write(provenance_rows(select(state.pool)))
        return path.read_bytes()


def examples(number: int) -> int:
    """Return the number of examples to test: `number` with --thorough, otherwise fewer (see conftest.py)."""
    assert settings.default is not None
    return max(1, number * settings.default.max_examples // 100)


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Told:
    """A command's result, with the same attributes as `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


class _Terminal(io.TextIOWrapper):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def command(
    *arguments: object, cwd: Path | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a new process, unlike `typed`."""
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **(environ or {})},
        timeout=PATIENCE_S,
    )


def typed(
    *arguments: object,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    on_a_terminal: bool = False,
) -> Told:
    """Run a command in this process with the real `main`, which is faster than starting a new process.

    Tests for signals, terminal keys and closed streams start a process instead.
    """
    kind: type[io.TextIOWrapper] = _Terminal if on_a_terminal else io.TextIOWrapper
    out, err = io.BytesIO(), io.BytesIO()
    streams: dict[str, Any] = {
        "stdin": kind(io.BytesIO(stdin), encoding="utf-8"),
        "stdout": kind(out, encoding="utf-8", write_through=True),
        "stderr": kind(err, encoding="utf-8", write_through=True),
    }
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in numbers}

    def leave(code: int) -> NoReturn:
        raise SystemExit(code)

    try:
        with (
            nullcontext() if cwd is None else chdir(cwd),
            patch.dict(os.environ, {"COLUMNS": "120", "NO_COLOR": "1", **(environ or {})}),
            patch.multiple(sys, argv=["selfinstruct", *map(str, arguments)], **streams),
            patch.object(os, "_exit", leave),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    code = ended.value.code
    assert isinstance(code, int)
    return Told(code, out.getvalue().decode(), err.getvalue().decode())
