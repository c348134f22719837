"""How a run shows that it lives."""

import pytest
from support import make_seed_task
from waiting import until

from selfinstruct.cli import run_progress as progress_module
from selfinstruct.cli.run_progress import Pace, fitting, progress
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption
from selfinstruct.pipeline.recipes import SELF_INSTRUCT
from selfinstruct.pipeline.state import RunState, initial
from selfinstruct.records import Reason, Task


def state_with(accepted: int, *, finished: int = 0, rejected: int = 0, tokens: int = 0) -> RunState:
    """As after as many generation requests as accepted tasks, each with one."""
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


def test_the_line_gives_target_time_left_rate_requests_in_flight_and_tokens() -> None:
    clock = [0.0]
    pace = Pace(100, SELF_INSTRUCT, now=lambda: clock[0])
    assert pace.parts(state_with(10), 4)[1] == "time left unknown"
    clock[0] = 60.0
    parts = pace.parts(state_with(40, finished=20, rejected=40, tokens=2_500_000), 32)
    assert parts[0] == "40/100 accepted"
    assert parts[2:] == ["50% of candidates", "20 finished", "32 in flight", "2.50 M tokens"]


def test_the_time_left_counts_the_requests_that_come_after_the_last_acceptance() -> None:
    clock = [0.0]
    pace = Pace(40, SELF_INSTRUCT, now=lambda: clock[0])
    pace.parts(state_with(0), 1)
    clock[0] = 60.0
    # Of 120 requests, 40 are done: as much again twice, in two minutes.
    state = state_with(40)
    assert pace.parts(state, 32)[1] == "0:02:00 left"
    assert pace.share_done(state) == pytest.approx(1 / 3)
    assert pace.share_done(state_with(40, finished=40)) == 1.0


def test_only_what_this_process_did_counts_for_the_time_left() -> None:
    clock = [0.0]
    pace = Pace(1000, SELF_INSTRUCT, now=lambda: clock[0])
    pace.parts(state_with(900, finished=900), 1)
    clock[0] = 10.0
    # Thirty requests in ten seconds; of some 270, those for ninety instructions are left.
    left = pace.parts(state_with(910, finished=910), 1)[1]
    assert left in ("0:01:30 left", "0:01:29 left")


def test_a_narrow_terminal_gets_what_matters_most() -> None:
    parts = ["198/300 accepted", "0:12:00 left", "79% of candidates", "32 in flight"]
    assert fitting(parts, 200) == ", ".join(parts)
    assert fitting(parts, 56) == "198/300 accepted, 0:12:00 left, 79% of candidates"
    assert fitting(parts, 5) == "198/300 accepted"


def test_a_log_gets_a_plain_line_by_the_clock_even_when_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_module, "_PLAIN_EVERY_S", 0.05)
    with progress(100, SELF_INSTRUCT) as watch:
        watch(state_with(10), 4)
        said: list[str] = []

        def has_two_lines() -> bool:
            said.append(capsys.readouterr().err)
            return "".join(said).count("\n") >= 2

        until(has_two_lines)
    assert "".join(said).startswith("10/100 accepted, time left unknown, 100% of candidates, ")
    assert "\x1b" not in "".join(said)
