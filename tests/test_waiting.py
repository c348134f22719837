"""Check that no test depends on the speed of the machine."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

LEAST_TIMEOUT_S = 60
"""Minimum timeout, in seconds, for another process or a server. On a busy machine, less may not be enough."""


def racing(code: str) -> Iterator[str]:
    """Yield each place in which a test's result depends on the clock."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Attribute() if ast.unparse(node) == "time.sleep":
                yield f"line {node.lineno}: sleeps; use waiting.until"
            case ast.keyword(arg="deadline"):
                yield f"line {node.lineno}: sets a deadline; conftest.py switches them off"
            case ast.keyword(arg="timeout", value=ast.Constant(value=int() | float() as wait_s)):
                if wait_s < LEAST_TIMEOUT_S:
                    yield f"line {node.lineno}: waits for {wait_s} s; use waiting.PATIENCE_S"
            case ast.Assert() if re.search(r"monotonic\(\).* <", ast.unparse(node)):
                yield f"line {node.lineno}: fails on a slow machine; assert a lower bound only"


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(0.1)",
        "settings(deadline=200)",
        "process.communicate(timeout=5)",
        "assert time.monotonic() - began < 2",
    ],
)
def test_races_are_detected(code: str) -> None:
    assert list(racing(code))


def test_no_test_has_races() -> None:
    tests = ROOT / "tests"
    allowed = {tests / "waiting.py", tests / "conftest.py", Path(__file__)}
    for path in sorted(set(tests.rglob("*.py")) - allowed):
        races = list(racing(path.read_text(encoding="utf-8")))
        assert not races, f"{path}: {races}"
