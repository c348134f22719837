"""How a run shows that it lives."""

import time

import pytest
from support import make_seed_task

from selfinstruct.cli import progress as progress_module
from selfinstruct.cli.progress import Pace, progress
from selfinstruct.config import RunConfig
from selfinstruct.records import Reason, Task
from selfinstruct.state import RunState, initial


def state_with(accepted: int, *, rejected: int = 0, tokens: int = 0) -> RunState:
    state = initial(RunConfig(model="m"), [make_seed_task(n) for n in range(8)])
    for n in range(accepted):
        state.pool.add(Task(id=f"task_{n}", instruction=f"Task {n}.", origin="generated"))
    state.counts.rejected[Reason.NOT_NOVEL] = rejected
    state.counts.prompt_tokens = tokens
    return state


def test_the_line_gives_rate_requests_in_flight_tokens_and_time_left() -> None:
    clock = [0.0]
    pace = Pace(now=lambda: clock[0])
    assert pace.line(state_with(10), 4, 100).endswith("time left unknown")
    clock[0] = 60.0
    line = pace.line(state_with(40, rejected=40, tokens=2_500_000), 32, 100)
    # Thirty in the first minute: sixty more in two.
    assert line == "50% of candidates accepted, 32 in flight, 2.50 M tokens, 0:02:00 left"


def test_only_what_this_process_accepted_counts_for_the_time_left() -> None:
    clock = [0.0]
    pace = Pace(now=lambda: clock[0])
    pace.line(state_with(900), 1, 1000)
    clock[0] = 10.0
    assert pace.line(state_with(910), 1, 1000).endswith("0:01:30 left")


def test_after_the_target_instances_are_being_finished() -> None:
    assert Pace().line(state_with(12), 3, 12).endswith("finishing instances")


def test_a_log_gets_a_plain_line_by_the_clock_even_when_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_PLAIN_EVERY_S", 0.05)
    with progress(100) as watch:
        watch(state_with(10), 4)
        deadline = time.monotonic() + 10
        said = ""
        while said.count("\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
            said += capsys.readouterr().err
    assert said.startswith("accepted 10/100: 100% of candidates accepted, 4 in flight")
    assert "\x1b" not in said
