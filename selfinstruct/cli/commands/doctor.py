"""`selfinstruct doctor`: check the set-up before a run starts."""

import asyncio
import json
import os
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selfinstruct.cli.commands.run import run_named
from selfinstruct.cli.options import JsonOption, OutputOption, SourceArgument, with_settings
from selfinstruct.text import counted, visible

if TYPE_CHECKING:
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.llm.doctor import Doctor, Finding
    from selfinstruct.runner.directory import Run

_MARKS = {"ok": "✓", "bad": "✗", "open": "–"}
_NAME_COLUMNS = 24
_MAX_REQUEST_TIMEOUT_S = 30.0
_MAX_CONNECT_TIMEOUT_S = 5.0
_MAX_COLUMNS = 100


@with_settings
def doctor(
    source: SourceArgument = None,
    output: OutputOption = None,
    json_output: JsonOption = False,
    **settings: Any,
) -> None:
    """Check the set-up of a run: key, address, model, parameters, files. Takes the flags of `run`.

    Sends about ten requests of at most 16 tokens, and none if the set-up is wrong. Exits with 0 if a run can
    start, 2 for a wrong set-up, 4 if the endpoint refuses.

    Example: selfinstruct doctor -m qwen3 --base-url http://localhost:8000/v1
    """
    directory, settings = run_named(source, output, settings)
    page = _Page(json_output=json_output)
    run = _set_up(directory, settings, page)
    examined, code = None, 2
    if run is not None and not page.is_bad:
        examined = asyncio.run(_examine(run, page))
        code = 4 if page.is_bad else 0
    page.end(examined)
    if code:
        raise typer.Exit(code)


class _Page:
    """Prints findings as they come, with control characters escaped."""

    def __init__(self, *, json_output: bool) -> None:
        self._json_output = json_output
        self._width = max(40, min(_MAX_COLUMNS, shutil.get_terminal_size().columns))
        self._findings: list[Finding] = []

    @property
    def is_bad(self) -> bool:
        return any(finding.mark == "bad" for finding in self._findings)

    def add(self, finding: "Finding") -> None:
        self._findings.append(finding)
        if self._json_output:
            return
        label = f"{_MARKS[finding.mark]} {finding.name}"
        for text in (finding.said, f"→ {finding.remedy}" if finding.remedy else ""):
            room = self._width - _NAME_COLUMNS
            for part in textwrap.wrap(visible(text, keep=""), room, break_on_hyphens=False):
                typer.echo(f"{label:<{_NAME_COLUMNS}}{part}")
                label = ""

    def end(self, examined: "Doctor | None") -> None:
        counts = {
            name: getattr(examined, name, 0)
            for name in ("requests", "prompt_tokens", "completion_tokens")
        }
        if self._json_output:
            from dataclasses import asdict

            findings = [asdict(finding) for finding in self._findings]
            typer.echo(json.dumps({"ready": not self.is_bad, "findings": findings, **counts}))
            return
        typer.echo("")
        if examined is None:
            typer.echo("A run cannot start. No request was sent.")
            return
        status = "A run cannot start" if self.is_bad else "A run can start"
        tokens = counts["prompt_tokens"] + counts["completion_tokens"]
        used = f"{counted(counts['requests'], 'request')}, {counted(tokens, 'token')}"
        typer.echo(f"{status}. This check took {used}.")
        if not self.is_bad:
            typer.echo("Next, with the same flags: selfinstruct run --preview")


def _set_up(directory: Path | None, settings: Mapping[str, Any], page: _Page) -> "Run | None":
    """Check everything that needs no request; return None if the settings make no run."""
    from selfinstruct.config.reading import load_settings
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.errors import ConfigError, SelfInstructError
    from selfinstruct.llm.doctor import Finding
    from selfinstruct.runner.directory import planned_run

    try:
        run = planned_run(directory, settings)
    except SelfInstructError as error:
        said = f"{error.setting}: {error.problem}" if isinstance(error, ConfigError) else str(error)
        page.add(Finding("set-up", "bad", said))
        # Report other problems too, so that the user can fix all of them.
        with suppress(SelfInstructError):
            for finding in _connection(RunConfig(**load_settings("settings", settings))):
                page.add(finding)
        return None
    classification = sum(seed.is_classification for seed in run.seed_tasks)
    seeds = f"{len(run.seed_tasks)}, {classification} for classification"
    page.add(Finding("seed tasks", "ok", seeds))
    page.add(Finding("templates", "ok", f"{len(run.templates)} for the recipe {run.recipe.name}"))
    if directory is not None:
        page.add(_output(directory, run))
    for finding in _connection(run.config):
        page.add(finding)
    return run


def _output(directory: Path, run: "Run") -> "Finding":
    """Check that the run directory can be written."""
    from selfinstruct.llm.doctor import Finding
    from selfinstruct.runner.directory import is_run
    from selfinstruct.runner.lock import holder

    name, shown = "output", str(directory)
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = "change its permissions, or choose another directory with -o"
        return Finding(name, "bad", f"{existing} is not writable", remedy)
    if not is_run(directory):
        return Finding(name, "ok", f"{shown} is new and writable")
    pid = holder(directory)
    if pid is not None:
        return Finding(name, "open", f"process {pid} is writing {shown}")
    done = f"{run.state.accepted:,} of {run.config.num_instructions:,} instructions"
    return Finding(name, "ok", f"{shown} contains a run with {done}")


def _connection(config: "RunConfig") -> "Iterator[Finding]":
    """Check address, key, headers and client. Never shows the value of a variable."""
    from selfinstruct.config.address import address
    from selfinstruct.errors import ConfigError
    from selfinstruct.llm.doctor import Finding
    from selfinstruct.llm.endpoint import NO_KEY, api_key, client, headers

    try:
        yield Finding("address", "ok", address(config, environ=os.environ))
    except ConfigError as error:
        yield Finding("address", "bad", str(error))
        return
    try:
        headers(config, environ=os.environ)
        key = api_key(config, environ=os.environ)
    except ConfigError as error:
        name = "headers" if error.setting == "extra_header" else "key"
        yield Finding(name, "bad", error.problem)
        return
    if key == NO_KEY:
        said = f"${config.api_key_env} is not set; a local server usually needs none"
        yield Finding("key", "open", said)
    else:
        yield Finding("key", "ok", f"${config.api_key_env} is set")
    if config.extra_header:
        yield Finding("headers", "ok", ", ".join(config.extra_header))
    try:
        client(config, environ=os.environ)
    except ConfigError as error:
        yield Finding("client", "bad", str(error))


async def _examine(run: "Run", page: _Page) -> "Doctor":
    from selfinstruct.llm.doctor import Doctor
    from selfinstruct.llm.online import OnlineBackend
    from selfinstruct.pipeline.recipes import sampling
    from selfinstruct.records import Stage

    config = run.config
    stages: tuple[Stage, ...] = ("generate",)
    if run.recipe.has_task_stages:
        stages = ("generate", "classify", "instances")
    hurried = config.changed(
        request_timeout_s=min(config.request_timeout_s, _MAX_REQUEST_TIMEOUT_S),
        connect_timeout_s=min(config.connect_timeout_s, _MAX_CONNECT_TIMEOUT_S),
    )
    async with OnlineBackend(hurried, environ=os.environ) as backend:
        samplings = {stage: sampling(config, stage) for stage in stages}
        examined = Doctor(backend, config, samplings)
        async for finding in examined.findings():
            page.add(finding)
    return examined
