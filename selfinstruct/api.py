"""The pipeline for use from Python: run, export, look at the result. For notebooks and scripts.

    from selfinstruct import RunConfig, export_run, read_frame, run

    summary = run("my-run", RunConfig(model="gpt-4.1-mini", num_instructions=200))
    export_run("my-run", "alpaca_data.json")
    read_frame("my-run").groupby("is_classification").size()

Inside an event loop of your own, `with open_run(…) as opened: await grow(opened, backend=…)`.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct.backend import Backend
from selfinstruct.config.reading import load_settings
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.export import (
    COLUMN_TYPES,
    PROVENANCE_COLUMNS,
    ExportOptions,
    provenance_rows,
    select,
    writing,
)
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.runner.directory import Run, is_run, open_run, read_run
from selfinstruct.runner.loop import grow, is_complete

if TYPE_CHECKING:
    import pandas

    from selfinstruct.dataset.importing.directory import Import


def run(
    directory: Path | str,
    config: RunConfig | Mapping[str, Any] | None = None,
    *,
    backend: Backend | None = None,
) -> RunSummary:
    """Start a run in a new directory, or continue the one that is there, until its target is reached.

    `config` may be left out, or differ in operational settings, for a run that exists. `backend` is the
    endpoint named in the config unless another is given. Raises SelfInstructError.
    """
    settings = (
        config.given() if isinstance(config, RunConfig) else load_settings("settings", config)
    )
    if backend is None and not is_run(directory):
        from selfinstruct.llm.endpoint import for_a_new_run

        settings = for_a_new_run(settings, environ=os.environ)
    with open_run(directory, settings) as opened:
        if is_complete(opened):
            return summarize(opened.state)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(_grow(opened, backend, asyncio.Event()))
        return _beside_the_loop(opened, backend)


def _beside_the_loop(opened: Run, backend: Backend | None) -> RunSummary:
    """Run in a thread of its own: a notebook's cell is inside an event loop already."""
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def main() -> RunSummary:
        loops.append(asyncio.get_running_loop())
        return await _grow(opened, backend, stop)

    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(asyncio.run, main())
        try:
            return running.result()
        except KeyboardInterrupt:
            for loop in loops:
                loop.call_soon_threadsafe(stop.set)  # leaving the block waits for what is in flight
            raise


async def _grow(opened: Run, backend: Backend | None, stop: asyncio.Event) -> RunSummary:
    if backend is not None:
        return await grow(opened, backend=backend, stop=stop)
    from selfinstruct.llm.endpoint import with_address
    from selfinstruct.llm.online import OnlineBackend

    if opened.state.imports and not opened.state.counts.requests:  # its first start
        opened.config = with_address(opened.config, environ=os.environ)
    async with OnlineBackend(
        opened.config, environ=os.environ, stop=stop, budget=opened.budget
    ) as online:
        return await grow(opened, backend=online, stop=stop)


def export_run(
    directory: Path | str,
    path: Path | str,
    *,
    format: str = "alpaca",  # noqa: A002
    include_seed_tasks: bool = False,
    limit: int | None = None,
    **options: Any,
) -> int:
    """Write a run's dataset to a file; returns the number of rows. Raises SelfInstructError.

    `path` "-" stands for stdout. `options` are further fields of `selfinstruct.dataset.export.ExportOptions`:

        export_run("my-run", "chats.jsonl", format="messages", split=(0.95, 0.05), shuffle_seed=1)
    """
    export_options = ExportOptions(format=format, **options)
    tasks = select(
        read_run(directory).state.pool, include_seed_tasks=include_seed_tasks, limit=limit
    )
    with writing(Path(path), export_options, types=COLUMN_TYPES) as export:
        parts = export.write(provenance_rows(tasks))
    return sum(part.rows for part in parts)


def import_run(
    directory: Path | str,
    files: Iterable[Path | str],
    config: RunConfig | Mapping[str, Any] | None = None,
) -> "Import":
    """Make a run of what the published Self-Instruct code or Alpaca's has left; nothing is asked.

    `run` then completes it, or grows it. A model need not be named before. Raises SelfInstructError.
    """
    from selfinstruct.dataset.importing import directory as importing

    settings = (
        config.given() if isinstance(config, RunConfig) else load_settings("settings", config)
    )
    return importing.import_run(Path(directory), [Path(file) for file in files], settings)


def read_frame(directory: Path | str, *, include_seed_tasks: bool = False) -> "pandas.DataFrame":
    """A run's dataset as a pandas DataFrame: a row an instance, columns as in the `jsonl` export."""
    import pandas

    tasks = select(read_run(directory).state.pool, include_seed_tasks=include_seed_tasks)
    return pandas.DataFrame(list(provenance_rows(tasks)), columns=list(PROVENANCE_COLUMNS))
