"""Test the Python functions `run` and `arun` with every kind of backend."""

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from support import ScriptedBackend, exported, make_seed_task, scripted_text

import selfinstruct
from selfinstruct import Completion, Progress, Request, RunConfig, arun, run
from selfinstruct.pipeline.seed_tasks import render_seed_tasks


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    return RunConfig(model="scripted", num_instructions=12, seed_tasks=seeds, max_concurrency=3)


async def coroutine(request: Request) -> str:
    return scripted_text(request)


async def completing(request: Request) -> Completion:
    return Completion(text=scripted_text(request), finish_reason="stop", model="scripted")


class Answering:
    """A callable object that returns an awaitable."""

    async def __call__(self, request: Request) -> str:
        return scripted_text(request)


@pytest.mark.parametrize("backend", [scripted_text, coroutine, completing, Answering()])
def test_any_function_is_a_backend(tmp_path: Path, config: RunConfig, backend: Any) -> None:
    run(tmp_path / "object", config, backend=ScriptedBackend())
    run(tmp_path / "function", config, backend=backend)
    assert exported(tmp_path / "function") == exported(tmp_path / "object")


def test_arun_does_the_same_as_run(tmp_path: Path, config: RunConfig) -> None:
    async def both() -> None:
        await asyncio.gather(
            *(arun(tmp_path / name, config, backend=coroutine) for name in ("one", "two"))
        )

    asyncio.run(both())
    run(tmp_path / "three", config, backend=scripted_text)
    assert exported(tmp_path / "one") == exported(tmp_path / "two")
    assert exported(tmp_path / "one") == exported(tmp_path / "three")


def test_a_cancelled_arun_can_be_continued(tmp_path: Path, config: RunConfig) -> None:
    async def cancelled() -> None:
        def show(progress: Progress) -> None:
            if progress.accepted >= 3:
                growing.cancel()

        growing = asyncio.ensure_future(
            arun(tmp_path / "run", config, backend=coroutine, on_progress=show)
        )
        with pytest.raises(asyncio.CancelledError):
            await growing

    asyncio.run(cancelled())
    run(tmp_path / "run", backend=coroutine)
    run(tmp_path / "whole", config, backend=coroutine)
    assert exported(tmp_path / "run") == exported(tmp_path / "whole")


def test_progress_reaches_the_target(tmp_path: Path, config: RunConfig) -> None:
    seen: list[Progress] = []
    summary = run(tmp_path / "run", config, backend=scripted_text, on_progress=seen.append)
    assert seen[0].requests == 0
    assert seen[-1] == Progress(
        accepted=summary.accepted,
        target=12,
        requests=sum(summary.requests.values()),
        in_flight=0,
        rows=summary.rows,
    )
    assert [p.accepted for p in seen] == sorted(p.accepted for p in seen)
    assert max(p.in_flight for p in seen) == 3


def test_a_plain_function_keeps_to_the_concurrency(tmp_path: Path, config: RunConfig) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def answer(request: Request) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        text = scripted_text(request)
        with lock:
            running -= 1
        return text

    run(tmp_path / "run", config, backend=answer)
    assert 1 <= most <= 3


def test_an_error_of_a_function_reaches_the_caller(tmp_path: Path, config: RunConfig) -> None:
    def answer(_: Request) -> str:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        run(tmp_path / "run", config, backend=answer)
    run(tmp_path / "run", backend=scripted_text)


def test_a_result_of_another_type_is_an_error(tmp_path: Path, config: RunConfig) -> None:
    with pytest.raises(TypeError, match="must return a Completion, not 7"):
        run(tmp_path / "run", config, backend=lambda _: 7)  # type: ignore[arg-type, return-value]


def test_a_summary_has_a_short_repr(tmp_path: Path, config: RunConfig) -> None:
    summary = run(tmp_path / "run", config, backend=scripted_text)
    assert repr(summary) == (
        f"<RunSummary: {summary.accepted} instructions, {summary.rows} rows, "
        f"{sum(summary.rejected.values())} rejected>"
    )
    priced = run(
        tmp_path / "priced", config.changed(price_input=1, price_output=2), backend=scripted_text
    )
    assert re.search(r" rejected, \$0\.\d\d>$", repr(priced))


def test_dir_lists_the_public_names() -> None:
    assert dir(selfinstruct) == selfinstruct.__all__
