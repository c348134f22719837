"""Help for tests of bad input: a command ends with one sentence, the right code, and nothing changed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

NEW = ("run", "-o", "new", "-m", "m", "--base-url", "http://127.0.0.1:9/v1")
"""Arguments of a run that starts unless the test adds a mistake."""
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
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The message on stderr: one line, or one box of typer."""
        lines = self.err.splitlines()
        boxed = [line.strip("│ ") for line in lines if line.startswith("│")]
        if boxed:
            return " ".join(boxed)
        assert len(lines) == 1, self.err
        assert lines[0].startswith("selfinstruct: "), self.err
        return lines[0].removeprefix("selfinstruct: ")


Typed = Callable[..., Ended]


def everything(place: Path) -> dict[str, bytes | None]:
    """Return every path below, with the content of files."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else None
        for path in place.rglob("*")
    }


def check(ended: Ended, pattern: str, *, code: int = 2) -> None:
    """Check that a command printed only one sentence, which matches a pattern, and exited with a code."""
    assert (ended.code, ended.out) == (code, "")
    assert re.search(pattern, ended.sentence), ended.sentence
