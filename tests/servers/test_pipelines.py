"""The whole pipeline against servers that are not ours: nonsense comes back, all of it accounted for."""

import json
import signal
from pathlib import Path

import pytest
from servers.runs import (
    DONE,
    GAVE_UP,
    INTERRUPTED,
    STALLED,
    accounted_for,
    carry_out,
    completions,
    finish,
    outcomes,
    selfinstruct,
    start,
)
from servers.serving import Server
from support import make_seed_task
from waiting import until

from selfinstruct.journal_events import RequestFailed
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.records import Instance, SeedTask


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_run_in_three_stages_is_accounted_for(tmp_path: Path, server: Server, api: str) -> None:
    code, said = carry_out(tmp_path / "run", server, api=api)
    assert code == DONE, said
    status = accounted_for(tmp_path / "run")
    assert status["accepted"] >= 3
    assert status["open"] == 0
    assert status["requests"]["classify"] >= status["accepted"]
    assert status["requests"]["instances"] == status["accepted"]
    # Both ends are met: a list is cut, a yes or no ends by itself.
    reasons = {reply.completion.finish_reason for reply in completions(tmp_path / "run")}
    assert reasons == {"length", "stop"}


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_run_in_one_call_is_accounted_for(tmp_path: Path, server: Server, api: str) -> None:
    code, said = carry_out(tmp_path / "run", server, recipe="alpaca", api=api)
    assert code in (DONE, STALLED), said
    status = accounted_for(tmp_path / "run")
    assert status["candidates"] >= status["commits"]
    assert set(status["requests"]) == {"generate"}
    assert (code == DONE) == (status["accepted"] >= 3)


def test_what_a_real_server_wrote_is_exported(tmp_path: Path, server: Server) -> None:
    # Few replies of the tiny model have an instance, so the run needs more of them.
    assert carry_out(tmp_path / "run", server, num_instructions=12)[0] == DONE
    rows = accounted_for(tmp_path / "run")["rows"]
    code, said = finish(selfinstruct("export", tmp_path / "run", "-o", tmp_path / "data.json"))
    assert code == 0, said
    written = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))
    assert len(written) == rows
    assert all(row["instruction"] and row["output"] for row in written)


def wait_for_replies(directory: Path, number: int) -> None:
    until(lambda: len(completions(directory)) >= number)


def test_a_run_that_is_killed_asks_for_nothing_again(tmp_path: Path, server: Server) -> None:
    directory = tmp_path / "run"
    for replies in (2, 7):
        with start(directory, server, num_instructions=12) as process:
            wait_for_replies(directory, replies)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    before = {reply.request_id: reply for reply in completions(directory)}
    code, said = carry_out(directory, server, num_instructions=12)
    assert code == DONE, said
    after = {reply.request_id: reply for reply in completions(directory)}
    assert before.items() <= after.items()
    assert accounted_for(directory)["accepted"] >= 12


def test_a_run_that_is_interrupted_waits_for_the_server(tmp_path: Path, server: Server) -> None:
    directory = tmp_path / "run"
    process = start(directory, server, num_instructions=12)
    wait_for_replies(directory, 4)
    process.send_signal(signal.SIGINT)
    code, said = finish(process)
    assert code == INTERRUPTED, said
    assert "To continue" in said
    accounted_for(directory)
    code, said = carry_out(directory, server, num_instructions=12)
    assert code == DONE, said
    accounted_for(directory)


def test_a_server_that_is_pinned_to_its_model_refuses_another_in_its_own_words(
    tmp_path: Path, transformers: Server
) -> None:
    code, said = carry_out(tmp_path / "run", transformers, model="nobody")
    assert code == GAVE_UP
    assert "Server is pinned to" in said
    assert "requested 'nobody'" in " ".join(said.split())
    assert outcomes(tmp_path / "run") == []
    # Nothing was paid for, so the right name may follow.
    code, said = carry_out(tmp_path / "run", transformers)
    assert code == DONE, said


def test_a_server_that_takes_any_model_name_is_believed(tmp_path: Path, llama: Server) -> None:
    code, said = carry_out(tmp_path / "run", llama, model="nobody")
    assert code == DONE, said
    accounted_for(tmp_path / "run")
    assert {one.completion.model for one in completions(tmp_path / "run")} == {"nobody"}


@pytest.fixture
def uneven_seeds(tmp_path: Path) -> Path:
    """Short seed tasks, and one that would fill a small window alone."""
    long = SeedTask(
        id="seed_task_long",
        name="long",
        instruction="Sum up the story.",
        instances=(Instance(input="It rained again that day. " * 200, output="It rained."),),
        is_classification=False,
    )
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(render_seed_tasks([*(make_seed_task(number) for number in range(9)), long]))
    return path


def test_a_prompt_that_does_not_fit_yields_nothing_and_the_others_go_on(
    tmp_path: Path, small_llama: Server, uneven_seeds: Path
) -> None:
    directory = tmp_path / "run"
    shape = {"recipe": "alpaca", "api": "completions", "seed-tasks": uneven_seeds}
    code, said = carry_out(directory, small_llama, num_instructions=20, stall_after=8, **shape)
    assert code in (DONE, STALLED), said
    status = accounted_for(directory)
    refused = [one for one in outcomes(directory) if isinstance(one, RequestFailed)]
    assert status["failed"] == {"generate": len(refused)}
    assert len(refused) >= 1
    assert all("maximum context length is 1024 tokens" in one.problem for one in refused)
    assert len(completions(directory)) >= 4


def test_a_window_that_is_too_small_for_a_stage_stops_the_run_and_a_larger_one_continues_it(
    tmp_path: Path, small_llama: Server, llama: Server
) -> None:
    """Of the base prompts, those for instances are the longest."""
    directory = tmp_path / "run"
    code, said = carry_out(directory, small_llama, api="completions")
    assert code == GAVE_UP
    assert "maximum context length is 1024 tokens" in " ".join(said.split())
    status = accounted_for(directory)
    assert status["failed"] == {}
    assert status["open"] == status["accepted"] > 0
    code, said = carry_out(directory, llama, api="completions")
    assert code == DONE, said
    assert accounted_for(directory)["open"] == 0


def test_a_server_without_a_check_of_its_window_answers_whatever_is_sent(
    tmp_path: Path, transformers: Server, uneven_seeds: Path
) -> None:
    shape = {"recipe": "alpaca", "api": "completions", "seed-tasks": uneven_seeds}
    code, said = carry_out(tmp_path / "run", transformers, **shape)
    assert code in (DONE, STALLED), said
    assert accounted_for(tmp_path / "run")["failed"] == {}
