"""Run against an endpoint with a fault plan, over a socket: the faults must not change the dataset."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples, exported
from virtual_clock import run_at_once

from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import RequestFailed
from selfinstruct.llm.online import open_backend
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.loop import grow
from selfinstruct.simulate import FaultPlan, SimulatedEndpoint
from selfinstruct.simulate.faults.plan import (
    AttemptFault,
    ErrorObject,
    Hang,
    NoChoices,
    Outage,
    Page,
    Plain,
    RequestFault,
    RequestFaultName,
    RetryAfter,
    Status,
    Timed,
)
from selfinstruct.simulate.server.request_log import RequestLog

AT_MOST = 4
CONFIG = RunConfig(model="simulated", num_instructions=15, max_concurrency=8)

FAULTS: tuple[AttemptFault, ...] = (
    Status(share=1, status=429, retry_after=RetryAfter(seconds=1)),
    Status(share=1, status=429, retry_after=RetryAfter(milliseconds=200)),
    Status(share=1, status=503, retry_after=RetryAfter(date=2)),
    Status(share=1, status=500),
    Status(share=1, status=500, then_close=True),
    Status(share=1, status=529),
    Status(share=1, status=408),
    Hang(share=1),
    Timed(fault="drip", share=1, seconds=0.1),
    Timed(fault="drip", share=1, seconds=30),
    Plain(fault="reset", share=1),
    Plain(fault="drop", share=1),
    Plain(fault="broken_json", share=1),
    Page(share=1),
    Page(share=1, format="plain"),
    ErrorObject(share=1, code="server_error"),
    NoChoices(share=1, choices="missing"),
    NoChoices(share=1, choices="empty"),
    Plain(fault="broken_off", share=1),
)


@asynccontextmanager
async def local_endpoint(plan: FaultPlan, log: Path) -> AsyncIterator[str]:
    """Serve a simulated endpoint in this event loop, on the loop's clock, and yield the base URL."""
    endpoint = SimulatedEndpoint(log=log, faults=plan)
    with closing(RequestLog(log)) as request_log, endpoint._bound_socket() as listening:
        serving = endpoint._server(request_log)
        served = asyncio.ensure_future(serving.serve([listening]))
        yield endpoint.base_url
        serving.should_exit = True
        await served


def run_against(plan: FaultPlan, folder: Path, config: RunConfig = CONFIG) -> Path:
    """Run on a virtual clock against an endpoint with a fault plan, and return the run directory."""

    async def grow_run() -> None:
        async with local_endpoint(plan, folder / "requests.jsonl") as base_url:
            with open_run(folder / "run", replace(config, base_url=base_url)) as opened:
                async with open_backend(opened.config, environ={}) as backend:
                    await grow(opened, backend=backend)

    # The server checks ten times a second whether it should stop. This gives the kernel enough time.
    run_at_once(grow_run(), under_way_s=0)
    return folder / "run"


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "requests.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def without_faults(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the dataset that a run without faults creates."""
    return exported(run_against(FaultPlan(), tmp_path_factory.mktemp("good")))


@st.composite
def plans(draw: st.DrawFn) -> FaultPlan:
    """Return a random fault plan: faults in at most half of the attempts, and an outage."""
    faults = draw(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=6))
    total = draw(st.floats(0.05, 0.5))
    outages = draw(
        st.lists(
            st.builds(
                Outage,
                after=st.integers(0, 80),
                attempts=st.integers(1, 12),
                refuse=st.sampled_from([None, "drop"]),
            ),
            max_size=1,
        )
    )
    return FaultPlan(
        seed=draw(st.integers(0, 10**6)),
        at_most=AT_MOST,
        per_attempt=tuple(
            fault.model_copy(update={"share": total / len(faults)}) for fault in faults
        ),
        outages=tuple(outages),
    )


@given(plans())
@settings(max_examples=examples(12))
def test_transport_faults_do_not_change_the_dataset(
    tmp_path_factory: pytest.TempPathFactory, without_faults: bytes, plan: FaultPlan
) -> None:
    folder = tmp_path_factory.mktemp("bad")
    directory = run_against(plan, folder)
    assert exported(directory) == without_faults
    failed = [
        e for e in read_journal(directory / "journal.jsonl") if isinstance(e.event, RequestFailed)
    ]
    assert failed == []
    # A request has at most AT_MOST faults, in addition to those during the outage.
    sent = Counter(
        str(line["client_request_id"]) for line in lines(folder) if line["event"] == "received"
    )
    in_outage = Counter(
        str(line["client_request_id"]) for line in lines(folder) if line.get("fault") == "outage"
    )
    for request_id, times in sent.items():
        assert times <= AT_MOST + 1 + in_outage[request_id]


@pytest.mark.parametrize("seed", [1, 9, 10, 12, 15])
def test_a_failing_request_costs_a_few_attempts(tmp_path: Path, seed: int) -> None:
    """Let two of a hundred requests always get status 500."""
    plan = FaultPlan(seed=seed, per_request=(RequestFault(share=0.02, fault="never"),))
    config = replace(CONFIG, num_instructions=60)
    directory = run_against(plan, tmp_path, config)
    failed = {
        e.event.request_id: e.event
        for e in read_journal(directory / "journal.jsonl")
        if isinstance(e.event, RequestFailed)
    }
    assert failed
    failing = Counter(
        str(line["client_request_id"]) for line in lines(tmp_path) if line.get("fault") == "never"
    )
    assert set(failed) <= set(failing)
    assert max(failing.values()) <= 3 * config.max_attempts
    assert read_run(directory).state.accepted >= 60


CONTENT_FAULTS = tuple(name for name in get_args(RequestFaultName) if name != "never")


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_faulty_reply_is_not_requested_again(tmp_path: Path, api: str) -> None:
    plan = FaultPlan(
        per_request=tuple(RequestFault(share=0.06, fault=fault) for fault in CONTENT_FAULTS)
    )
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, slots in zip(folders, (1, 8), strict=True):
        folder.mkdir()
        run_against(plan, folder, replace(CONFIG, api=api, max_concurrency=slots))
        sent = Counter(
            line["client_request_id"] for line in lines(folder) if line["event"] == "received"
        )
        assert set(sent.values()) == {1}
        faults = {line.get("fault") for line in lines(folder) if line["event"] == "answered"}
        assert len(faults & set(CONTENT_FAULTS)) >= 4
    assert exported(folders[0] / "run") == exported(folders[1] / "run")
