"""Tests of the progress display of a run."""

import asyncio
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from rich.console import Console
from support import make_seed_task

from selfinstruct.cli import progress_bar, run_progress
from selfinstruct.cli.run_progress import Pace, show_progress
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.state import RunState, initial
from selfinstruct.records import Reason, Task
from selfinstruct.runner.directory import Run


def state_with(accepted: int, *, finished: int = 0, rejected: int = 0, tokens: int = 0) -> RunState:
    """Return the state of a run in which each accepted task took one generation request."""
    state = initial(RunConfig(model="m"), [make_seed_task(n) for n in range(8)])
    for n in range(accepted):
        state.pool.add(Task(id=f"task_{n}", instruction=f"Task {n}.", origin="generated"))
        state.pool_sizes.append(len(state.pool))
    state.counts.requests.update(generate=accepted, classify=finished, instances=finished)
    state.counts.finished_tasks = finished
    state.counts.rejected[Reason.NOT_NOVEL] = rejected
    state.ledger.spent = Consumption(prompt_tokens=tokens)
    state.timeline.mark(
        accepted=accepted, candidates=accepted + rejected, consumed=Consumption(requests=1)
    )
    return state


def test_the_line_has_all_parts() -> None:
    clock = [0.0]
    pace = Pace(100, SELF_INSTRUCT, now=lambda: clock[0])
    assert pace.parts(state_with(10), 4)[1] == "time left unknown"
    clock[0] = 60.0
    parts = pace.parts(state_with(40, finished=20, rejected=40, tokens=2_500_000), 32)
    assert parts[0] == "40/100 accepted"
    assert parts[2:] == ["50% of candidates", "20 finished", "32 in flight", "2.50 M tokens"]


def test_time_left_counts_requests_after_the_last_acceptance() -> None:
    clock = [0.0]
    pace = Pace(40, SELF_INSTRUCT, now=lambda: clock[0])
    pace.parts(state_with(0), 1)
    clock[0] = 60.0
    # The first 40 of 120 requests took one minute.
    state = state_with(40)
    assert pace.parts(state, 32)[1] == "0:02:00 left"
    assert pace.share_done(state) == pytest.approx(1 / 3)
    assert pace.share_done(state_with(40, finished=40)) == 1.0


def test_time_left_counts_this_process_only() -> None:
    clock = [0.0]
    pace = Pace(1000, SELF_INSTRUCT, now=lambda: clock[0])
    pace.parts(state_with(900, finished=900), 1)
    clock[0] = 10.0
    # 30 requests took 10 seconds. About 270 requests are left, for 90 instructions.
    left = pace.parts(state_with(910, finished=910), 1)[1]
    assert left in ("0:01:30 left", "0:01:29 left")


def progress_of(
    state: RunState, until_printed: Callable[[str], bool], capsys: pytest.CaptureFixture[str]
) -> str:
    """Show a run's progress until the output satisfies a condition, and return the output."""
    run = SimpleNamespace(config=RunConfig(model="m"), recipe=SELF_INSTRUCT, state=state)

    async def show() -> str:
        task = asyncio.create_task(show_progress(cast("Run", run), lambda: 4))
        printed = ""
        while not until_printed(printed):
            await asyncio.sleep(0.001)
            printed += capsys.readouterr().err
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return printed

    return asyncio.run(show())


def test_a_log_gets_lines_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines are printed even if the run makes no progress."""
    monkeypatch.setattr(run_progress, "_UPDATED_EVERY_S", 0.01)
    monkeypatch.setattr(progress_bar, "_PRINTED_EVERY_S", 0.03)
    printed = progress_of(state_with(10), lambda text: text.count("\n") >= 2, capsys)
    assert printed.startswith("4%, 10/100 accepted, time left unknown, 100% of candidates, ")
    assert "\x1b" not in printed


def test_a_narrow_terminal_cuts_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(Console, "is_terminal", True)
    printed = progress_of(state_with(10), lambda text: "10/100 accepted" in text, capsys)
    assert "━" in printed
    assert "  4%" in printed
    assert "…" in printed
    assert "in flight" not in printed
