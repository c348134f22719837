"""Functions for notebooks and scripts to start, import or export a run, and to read its dataset.

    from selfinstruct import RunConfig, export_run, read_frame, run

    summary = run("my-run", RunConfig(model="gpt-5.4-mini", num_instructions=200))
    export_run("my-run", "alpaca_data.json")
    read_frame("my-run").groupby("is_classification").size()

Async code uses `await arun(…)` instead of `run(…)`. The package `selfinstruct` exports more functions, such
as `filter_records`.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct.backend import Answer, Backend, as_backend
from selfinstruct.config.endpoint_address import for_a_new_run, with_address
from selfinstruct.config.reading import load_settings
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.export.export_records import export_records
from selfinstruct.dataset.rows import PROVENANCE_COLUMNS, provenance_rows, select
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.runner.directory import Run, is_run, open_run, planned_run, read_run
from selfinstruct.runner.loop import grow, is_complete
from selfinstruct.runner.pump import Watch

if TYPE_CHECKING:
    import pandas

    from selfinstruct.dataset.importing.directory import Import
    from selfinstruct.llm.online import OnlineBackend
    from selfinstruct.llm.retry import OnWait


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run's progress, as passed to `on_progress`."""

    accepted: int
    """Number of accepted instructions, not counting seed tasks."""
    target: int
    """The target number of accepted instructions, which is the setting num_instructions."""
    requests: int
    """Number of requests that have an outcome: a reply or a failure."""
    in_flight: int
    """Number of requests that were sent and have no outcome yet."""
    rows: int
    """Number of accepted instances. Each is one row of an export."""


def run(
    directory: Path | str,
    config: RunConfig | Mapping[str, Any] | None = None,
    *,
    backend: Backend | Answer | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunSummary:
    """Start a run in a new directory, or continue the run in an existing one, until it reaches its target.

    An existing run needs no `config`; only its operational settings can be changed. By default, requests go
    to the endpoint in the config. `backend` can also be a function that returns a text for a request (see
    `selfinstruct.backend.FunctionBackend`). `on_progress` is called after each step. Returns the run's
    summary. Raises SelfInstructError.
    """
    growing = partial(_run, directory, config, backend=backend, on_progress=on_progress)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(growing(stop=asyncio.Event()))
    return _run_in_thread(growing)


async def arun(
    directory: Path | str,
    config: RunConfig | Mapping[str, Any] | None = None,
    *,
    backend: Backend | Answer | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunSummary:
    """Do the same as `run`, but for async code. To stop, cancel the call.

    No journaled reply is lost. Replies to requests in flight are lost when the call is cancelled.
    """
    return await _run(
        directory, config, backend=backend, on_progress=on_progress, stop=asyncio.Event()
    )


def checked_settings(directory: Path | str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings for a run. For a new run, they include the endpoint's address.

    For a new run, also check the input files and the API key. No file is written. Raises SelfInstructError.
    """
    from selfinstruct.llm.http_client import http_client

    if directory is not None and is_run(directory):
        return dict(settings)
    settings = for_a_new_run(settings, environ=os.environ)
    http_client(planned_run(directory, settings).config, environ=os.environ)
    return settings


def _settings(config: RunConfig | Mapping[str, Any] | None) -> dict[str, Any]:
    return config.given() if isinstance(config, RunConfig) else load_settings("settings", config)


def _run_in_thread(growing: Callable[..., Coroutine[Any, Any, RunSummary]]) -> RunSummary:
    """Run the coroutine in another thread, because this one already has an event loop, as in a notebook."""
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> RunSummary:
        loops.append(asyncio.get_running_loop())
        return await growing(stop=stop)

    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(asyncio.run, main())
        try:
            return running.result()
        except KeyboardInterrupt:
            for loop in loops:
                # The executor then waits for the requests in flight.
                loop.call_soon_threadsafe(stop.set)
            raise


async def _run(
    directory: Path | str,
    config: RunConfig | Mapping[str, Any] | None,
    *,
    backend: Backend | Answer | None,
    on_progress: Callable[[Progress], None] | None,
    stop: asyncio.Event,
) -> RunSummary:
    settings = _settings(config)
    if backend is None:
        settings = checked_settings(directory, settings)
    with open_run(directory, settings) as opened:
        if is_complete(opened):
            return summarize(opened.state)
        watch = _watch(opened, on_progress) if on_progress is not None else lambda _: None
        if backend is not None:
            model = as_backend(backend, model=opened.config.model)
            return await grow(opened, backend=model, stop=stop, watch=watch)
        async with online_backend(opened, stop=stop) as online:
            return await grow(opened, backend=online, stop=stop, watch=watch)


def _watch(opened: Run, on_progress: Callable[[Progress], None]) -> Watch:
    """Return a `Watch` that calls `on_progress`."""

    def watch(in_flight: int) -> None:
        state = opened.state
        on_progress(
            Progress(
                accepted=state.accepted,
                target=opened.config.num_instructions,
                requests=state.counts.requests.total(),
                in_flight=in_flight,
                rows=state.counts.rows,
            )
        )

    return watch


def online_backend(
    opened: Run, *, stop: asyncio.Event, on_wait: "OnWait | None" = None
) -> "OnlineBackend":
    """Return the backend for an opened run's endpoint.

    On the first start of an imported run, also adds the endpoint's address to the config. `on_wait` is called
    before each wait for a retry, with the problem and the wait in seconds. Raises ConfigError.
    """
    from selfinstruct.llm.online import open_backend

    if opened.state.imports and not opened.state.counts.requests:  # the first start
        opened.config = with_address(opened.config, environ=os.environ)
    return open_backend(
        opened.config, environ=os.environ, budget=opened.budget, stop=stop, on_wait=on_wait
    )


def export_run(directory: Path | str, path: Path | str, **options: Any) -> int:
    """Write a run's dataset to a file. Return the number of rows. Raises SelfInstructError.

    If `path` is "-", it is written to stdout. `options` are the other parameters of `export_records`:

        export_run("my-run", "chats.jsonl", format="messages", split=(0.95, 0.05), shuffle_seed=1)
    """
    return export_records(directory, path, **options).rows


def import_run(
    directory: Path | str,
    files: Iterable[Path | str],
    config: RunConfig | Mapping[str, Any] | None = None,
) -> "Import":
    """Create a run from files in the format of the published Self-Instruct or Alpaca code.

    No request is sent. Call `run` afterwards to complete or grow the run. The config needs a model only for
    that call. Returns a summary of the import. Raises SelfInstructError.
    """
    from selfinstruct.dataset.importing import directory as importing

    return importing.import_run(Path(directory), [Path(file) for file in files], _settings(config))


def read_frame(directory: Path | str, *, include_seed_tasks: bool = False) -> "pandas.DataFrame":
    """Return a run's dataset as a DataFrame with the same rows and columns as the `jsonl` export."""
    import pandas

    tasks = select(read_run(directory).state.pool, include_seed_tasks=include_seed_tasks)
    return pandas.DataFrame(list(provenance_rows(tasks)), columns=list(PROVENANCE_COLUMNS))
