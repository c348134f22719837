"""A run in the foreground: what is said of it, what is logged, what a signal does, how it ends."""

import asyncio
import logging
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selfinstruct.cli.options import LogLevel
from selfinstruct.cli.terminal import is_ignored, say
from selfinstruct.text import visible

if TYPE_CHECKING:
    from selfinstruct.cli.expected_cost import Announcement
    from selfinstruct.cost import ExpectedUse
    from selfinstruct.pipeline.state import RunState
    from selfinstruct.pipeline.summary import RunSummary
    from selfinstruct.runner.directory import Run
    from selfinstruct.runner.failures import Pause

_WAITS_SAID_EVERY_S = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def carry_out(
    directory: Path,
    settings: Mapping[str, Any],
    *,
    announcement: "Announcement | None" = None,
    json_output: bool = False,
    again: str = "selfinstruct run {directory}",
    log_file: Path | None = None,
    log_level: LogLevel = LogLevel.INFO,
    on_finish: str | None = None,
) -> "RunSummary":
    """Run until the end and talk about it; exit with the code of how it ended unless that is 0.

    `announcement` is made before anything is sent; where it asks, before the directory of a new run is made.
    `again` is the command that continues it, `on_finish` one that is told how it ended.
    """
    from selfinstruct.analysis.estimate import estimate_of
    from selfinstruct.cli.expected_cost import left_line
    from selfinstruct.cli.log_file import check_log_file, logging_to
    from selfinstruct.cli.on_finish import Ending, run_on_finish
    from selfinstruct.cli.run_log import log, log_ending
    from selfinstruct.cli.summary_lines import funnel_lines
    from selfinstruct.errors import LimitReachedError, SelfInstructError
    from selfinstruct.llm.endpoint import for_a_new_run, with_address
    from selfinstruct.pipeline.summary import summarize
    from selfinstruct.runner.directory import is_run, open_run, planned_run
    from selfinstruct.runner.loop import is_complete

    is_new = not is_run(directory)
    if is_new:
        settings = for_a_new_run(settings, environ=os.environ)
    if log_file is not None:
        check_log_file(log_file, directory)
    if is_new and announcement is not None and announcement.may_ask:
        announcement.ask(planned_run(directory, settings))
    failure: Exception | None = None
    began = time.monotonic()
    with ExitStack() as kept:
        kept.enter_context(_signals_given_back())
        on_replay = announcement.heard if announcement is not None else lambda *_: None
        with open_run(directory, settings, on_replay=on_replay) as opened:
            if log_file is not None:
                kept.enter_context(logging_to(log_file, level=getattr(logging, log_level.name)))
            target = opened.config.num_instructions
            is_continued = bool(opened.state.counts.requests)
            if opened.journal is not None and opened.journal.torn_bytes:
                say(_set_aside(opened.journal.path, opened.journal.torn_bytes))
            if is_complete(opened):
                summary = summarize(opened.state)
                say(
                    f"{directory} is complete: {summary.accepted:,} instructions ({target:,} asked for), "
                    f"{summary.rows:,} rows. To grow it further, give a larger -n."
                )
            else:
                if is_continued:
                    say(
                        f"continuing {directory}: {opened.state.accepted:,} of {target:,} instructions"
                    )
                if opened.state.imports and not is_continued:
                    # Its first start: a later one may find another address in the environment.
                    opened.config = with_address(opened.config, environ=os.environ)
                expected_use = (
                    announcement.make(opened).expected_use if announcement is not None else None
                )
                try:
                    asyncio.run(_carry_out(opened, expected_use))
                except asyncio.CancelledError:
                    pass  # the second signal
                except Exception as error:  # noqa: BLE001 - raised again once everybody is told
                    failure = error
                summary = summarize(opened.state)
                if summary.requests:
                    ended = "complete" if is_complete(opened) else "stopped"
                    say(f"{directory} {ended}:", *funnel_lines(summary))
                if isinstance(failure, LimitReachedError):
                    say(left_line(estimate_of(opened), base_url=opened.config.base_url))
            ending = Ending(
                directory=directory,
                summary=summary,
                is_complete=is_complete(opened),
                failure=failure,
                took_s=time.monotonic() - began,
                is_continued=is_continued,
                again=again.format(directory=shlex.quote(str(directory))),
            )
        log_ending(ending)
        if ending.detail and isinstance(failure, SelfInstructError):
            say(f"selfinstruct: {visible(ending.detail)}")
        # The run is closed by now: what is run here may export or continue it.
        if on_finish is not None:
            code = run_on_finish(on_finish, ending)
            log("on_finish_ended", exit_code=code)
        say(ending.line())
    if json_output:
        import json

        typer.echo(json.dumps(summary.as_json()))
    if failure is not None and not isinstance(failure, SelfInstructError):
        raise failure
    if ending.exit_code:
        raise typer.Exit(ending.exit_code)
    return summary


def _set_aside(journal: Path, size: int) -> str:
    if size == 1:
        what, are = f"the last byte of {journal} was", "it is"
    else:
        what, are = f"the last {size:,} bytes of {journal} were", "they are"
    return f"{what} no whole line; {are} set aside in {journal.name}.torn"


async def _carry_out(opened: "Run", expected_use: "ExpectedUse | None") -> "RunSummary":
    from selfinstruct.cli.run_log import RunLog
    from selfinstruct.cli.run_progress import progress
    from selfinstruct.errors import RunWriteError
    from selfinstruct.llm.endpoint import address
    from selfinstruct.llm.online import OnlineBackend
    from selfinstruct.runner.disk_space import DiskWatch
    from selfinstruct.runner.loop import grow

    stop = asyncio.Event()
    run_log = RunLog(opened, address=address(opened.config, environ=os.environ))
    if opened.journal is not None:
        opened.journal.on_append = run_log.heard
    disk = DiskWatch(opened.directory, max_concurrency=opened.config.max_concurrency)
    _say_what_will_not_fit(opened)
    if (problem := disk.problem()) is not None:
        raise RunWriteError(opened.directory, problem)
    with _stopping(stop):
        async with OnlineBackend(
            opened.config,
            environ=os.environ,
            stop=stop,
            on_wait=_now_and_then(),
            budget=opened.budget,
        ) as backend:
            with progress(opened.config.num_instructions, opened.recipe) as show:

                def watch(state: "RunState", in_flight: int) -> None:
                    show(state, in_flight)
                    run_log.watch(state, in_flight)
                    if not stop.is_set() and disk.problem() is not None:
                        stop.set()

                telling = asyncio.ensure_future(run_log.tell_progress())
                try:
                    summary = await grow(
                        opened,
                        backend=backend,
                        stop=stop,
                        watch=watch,
                        on_pause=_say_pause,
                        expected_use=expected_use,
                    )
                finally:
                    telling.cancel()
    if disk.shortage is not None:
        raise RunWriteError(opened.directory, disk.shortage)
    return summary


def _say_what_will_not_fit(opened: "Run") -> None:
    from selfinstruct.cli.run_log import log
    from selfinstruct.runner.disk_space import warning

    journal = 0
    with suppress(OSError):
        if opened.journal is not None:
            journal = opened.journal.path.stat().st_size
    problem = warning(
        opened.directory,
        missing=max(0, opened.config.num_instructions - opened.state.accepted),
        accepted=opened.state.grown,
        journal=journal,
    )
    if problem is not None:
        say(problem)
        log("disk_may_be_too_small", level=logging.WARNING, problem=problem)


def _say_pause(pause: "Pause") -> None:
    from selfinstruct.cli.run_log import log
    from selfinstruct.text import duration

    left = f"for {duration(pause.left_s)} at most (--give-up-after)"
    say(
        f"{pause.stage}: nobody is answered at present; next try in {duration(pause.seconds)}, {left}: "
        f"{visible(pause.problem)}"
    )
    log(
        "pause",
        level=logging.WARNING,
        stage=pause.stage,
        problem=pause.problem,
        seconds=round(pause.seconds, 1),
        left_s=round(pause.left_s, 1),
    )


def _now_and_then() -> Callable[[str, float], None]:
    """Say why the run waits, but not for each of hundreds of requests that wait for the same thing."""
    from selfinstruct.cli.run_log import log

    said_at = -_WAITS_SAID_EVERY_S

    def on_wait(problem: str, seconds: float) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _WAITS_SAID_EVERY_S:
            said_at = time.monotonic()
            say(f"trying again in {seconds:.1f} s: {visible(problem)}")
            log("wait", problem=problem, seconds=round(seconds, 1))

    return on_wait


@contextmanager
def _stopping(stop: asyncio.Event) -> Iterator[None]:
    """The first signal asks to stop; the second cancels whatever is going on."""
    from selfinstruct.cli.run_log import log

    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    is_second = False

    def stopped(number: signal.Signals) -> None:
        nonlocal is_second
        log("stop_asked", signal=number.name, at_once=is_second)
        if is_second:
            task.cancel()
            return
        is_second = True
        stop.set()  # before anything is said: there may be nobody left to say it to
        say("stopping once the requests in flight have finished (again: at once)")

    taken = [number for number in _SIGNALS if not is_ignored(number)]
    for number in taken:
        loop.add_signal_handler(number, stopped, number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
            # Who is impatient must not break off what is left: saying how it ended.
            signal.signal(number, _too_late)


def _too_late(*_: object) -> None:
    pass


@contextmanager
def _signals_given_back() -> Iterator[None]:
    """Leave signals to whoever had them before the block."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
