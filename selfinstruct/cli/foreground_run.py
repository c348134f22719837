"""Carry out a run in the foreground, with messages, a log, signal handling and a final report."""

import asyncio
import logging
import os
import shlex
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selfinstruct.analysis.estimate import estimate_of
from selfinstruct.api import checked_settings, online_backend
from selfinstruct.cli.expected_cost import Announcement, left_line
from selfinstruct.cli.log_file import check_log_file, logging_to
from selfinstruct.cli.on_finish import Ending, run_on_finish
from selfinstruct.cli.options import flag
from selfinstruct.cli.output import print_json, say
from selfinstruct.cli.run_log import RunLog, log, log_ending
from selfinstruct.cli.run_progress import show_progress
from selfinstruct.cli.signals import restored, stopping
from selfinstruct.cli.summary_lines import funnel_lines
from selfinstruct.config.endpoint_address import address
from selfinstruct.cost import ExpectedUse
from selfinstruct.display import counted, duration
from selfinstruct.errors import LimitReachedError, RunWriteError, SelfInstructError
from selfinstruct.journal_events import Event
from selfinstruct.pipeline.summary import RunSummary, summarize
from selfinstruct.runner import loop
from selfinstruct.runner.directory import Run, is_run, open_run, planned_run
from selfinstruct.runner.disk_space import DiskWatch, warning
from selfinstruct.runner.failures import Pause
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.run_file_names import TORN

if TYPE_CHECKING:
    from selfinstruct.llm.online import OnlineBackend

_WAIT_REPORTED_EVERY_S = 10.0


def carry_out(
    directory: Path,
    settings: Mapping[str, Any],
    *,
    announcement: Announcement | None = None,
    json_output: bool = False,
    again: str = "selfinstruct run {directory}",
    log_file: Path | None = None,
    log_level: str = "info",
    on_finish: str | None = None,
) -> RunSummary:
    """Start or continue a run, print messages until it ends, and return its summary.

    `announcement` shows the expected cost before the first request. If it may ask the user, it does so before
    a new run's directory is created. `again` is the command that continues the run. `on_finish` is a shell
    command to run at the end. Raises typer.Exit if the run is not complete.
    """
    is_new = not is_run(directory)
    settings = checked_settings(directory, settings)
    if log_file is not None:
        check_log_file(log_file, directory)
    if is_new and announcement is not None and announcement.may_ask:
        announcement.make(planned_run(directory, settings))
    began = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(restored())
        with open_run(directory, settings) as opened:
            if log_file is not None:
                stack.enter_context(logging_to(log_file, level=getattr(logging, log_level.upper())))
            is_continued = bool(opened.state.counts.requests)
            failure = _grow(opened, announcement)
            summary = summarize(opened.state)
            ending = Ending(
                directory=directory,
                summary=summary,
                is_complete=loop.is_complete(opened),
                failure=failure,
                took_s=time.monotonic() - began,
                is_continued=is_continued,
                again=again.format(directory=shlex.quote(str(directory))),
            )
        log_ending(ending)
        if ending.detail and isinstance(failure, SelfInstructError):
            say(f"selfinstruct: {ending.detail}")
        # The run is closed at this point, so the command can export or continue it.
        if on_finish is not None:
            log("on_finish_ended", exit_code=run_on_finish(on_finish, ending))
        say(ending.line())
    if json_output:
        print_json(summary.as_json())
    if failure is not None and not isinstance(failure, SelfInstructError):
        raise failure
    if ending.exit_code:
        raise typer.Exit(ending.exit_code)
    return summary


def _grow(opened: Run, announcement: Announcement | None) -> Exception | None:
    """Grow an opened run and print messages about it. Return the error that stopped the run, if any."""
    directory, state, target = opened.directory, opened.state, opened.config.num_instructions
    journal = opened.journal
    assert journal is not None
    if journal.torn_bytes:
        size = counted(journal.torn_bytes, "byte")
        say(f"the last line of {journal.path} was incomplete; moved its {size} to {TORN}")
    if loop.is_complete(opened):
        say(
            f"{directory} is complete: {state.accepted:,} instructions (target {target:,}), "
            f"{summarize(state).rows:,} rows. To grow the run further, use a larger -n."
        )
        return None
    if state.counts.requests:
        say(f"continuing {directory}: {state.accepted:,} of {target:,} instructions")
    stop = asyncio.Event()
    backend = online_backend(opened, stop=stop, on_wait=_report_some_waits())
    expected_use = announcement.make(opened).expected_use if announcement is not None else None
    failure: Exception | None = None
    try:
        asyncio.run(_send(opened, journal, backend, stop, expected_use))
    except asyncio.CancelledError:
        pass  # a second signal stopped the run at once
    except Exception as error:  # noqa: BLE001 - raised again after the final report
        failure = error
    if state.counts.requests:
        status = "complete" if loop.is_complete(opened) else "stopped"
        say(f"{directory} {status}:", *funnel_lines(summarize(state)))
    if isinstance(failure, LimitReachedError):
        say(left_line(estimate_of(opened), base_url=opened.config.base_url))
    return failure


async def _send(
    opened: Run,
    journal: Journal[Event],
    backend: "OnlineBackend",
    stop: asyncio.Event,
    expected_use: ExpectedUse | None,
) -> None:
    run_log = RunLog(opened, address=address(opened.config, environ=os.environ))
    disk = DiskWatch(opened.directory, max_concurrency=opened.config.max_concurrency)
    _warn_of_small_disk(opened, journal)
    if (problem := disk.problem()) is not None:
        raise RunWriteError(opened.directory, problem)
    in_flight = 0

    def watch(number: int) -> None:
        nonlocal in_flight
        in_flight = number
        if not stop.is_set() and disk.problem() is not None:
            stop.set()

    with stopping(stop, _report_signal):
        async with backend:
            reports = [
                asyncio.create_task(show_progress(opened, lambda: in_flight)),
                asyncio.create_task(run_log.log_progress(lambda: in_flight)),
            ]
            try:
                await loop.grow(
                    opened,
                    backend=backend,
                    stop=stop,
                    watch=watch,
                    on_pause=_report_pause,
                    on_event=run_log.heard,
                    expected_use=expected_use,
                )
            finally:
                for report in reports:
                    report.cancel()
                await asyncio.gather(*reports, return_exceptions=True)
    if disk.shortage is not None:
        raise RunWriteError(opened.directory, disk.shortage)


def _warn_of_small_disk(opened: Run, journal: Journal[Event]) -> None:
    problem = warning(
        opened.directory,
        missing=max(0, opened.config.num_instructions - opened.state.accepted),
        accepted=opened.state.grown,
        journal=journal.path.stat().st_size,
    )
    if problem is not None:
        say(problem)
        log("disk_may_be_too_small", level=logging.WARNING, problem=problem)


def _report_signal(number: signal.Signals, is_second: bool) -> None:
    log("stop_asked", signal=number.name, at_once=is_second)
    if not is_second:
        say("stopping after the requests in flight finish (a second Ctrl-C stops at once)")


def _report_pause(pause: Pause) -> None:
    say(
        f"{pause.stage}: endpoint not responding; retrying in {duration(pause.seconds)} (gives up after "
        f"{duration(pause.left_s)}, see {flag('give_up_after_s')}): {pause.problem}"
    )
    log(
        "pause",
        level=logging.WARNING,
        stage=pause.stage,
        problem=pause.problem,
        seconds=round(pause.seconds, 1),
        left_s=round(pause.left_s, 1),
    )


def _report_some_waits() -> Callable[[str, float], None]:
    """Return a function that reports a wait at most every 10 seconds, because hundreds may have one cause."""
    reported_at = -_WAIT_REPORTED_EVERY_S

    def on_wait(problem: str, seconds: float) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= _WAIT_REPORTED_EVERY_S:
            reported_at = time.monotonic()
            say(f"retrying in {seconds:.1f} s: {problem}")
            log("wait", problem=problem, seconds=round(seconds, 1))

    return on_wait
