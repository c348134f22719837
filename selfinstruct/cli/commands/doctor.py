"""`selfinstruct doctor`: check the setup before a run starts."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selfinstruct.cli.commands.run import run_named
from selfinstruct.cli.options import JsonOption, OutputOption, SourceArgument, with_settings
from selfinstruct.cli.output import print_json
from selfinstruct.cli.text_layout import columns, parts
from selfinstruct.display import counted, visible

if TYPE_CHECKING:
    from selfinstruct.config.endpoint_settings import EndpointSettings
    from selfinstruct.errors import SelfInstructError
    from selfinstruct.llm.doctor import Doctor, Finding
    from selfinstruct.runner.directory import Run

_MARKS = {"ok": "✓", "bad": "✗", "open": "–"}
_NAME_COLUMNS = 24
_MAX_REQUEST_TIMEOUT_S = 30.0
_MAX_CONNECT_TIMEOUT_S = 5.0


@with_settings
def doctor(
    source: SourceArgument = None,
    output: OutputOption = None,
    json_output: JsonOption = False,
    **settings: Any,
) -> None:
    """Check a run's setup: key, address, model, parameters and files. Takes the same flags as `run`.

    Sends about ten requests of at most 16 tokens each; sends none if the setup is wrong. Exits with 0 if a
    run can start, with 2 if the setup is wrong, and with 4 if the endpoint rejects the requests.

    Example: selfinstruct doctor -m qwen3 --base-url http://localhost:8000/v1
    """
    from selfinstruct.errors import SelfInstructError
    from selfinstruct.runner.directory import planned_run

    directory, settings = run_named(source, output, settings)
    findings: list[Finding] = []

    def add(finding: "Finding") -> None:
        findings.append(finding)
        if not json_output:
            typer.echo("\n".join(_lines(finding)))

    def is_ready() -> bool:
        return all(finding.mark != "bad" for finding in findings)

    run, examined = None, None
    try:
        run = planned_run(directory, settings)
        found = _set_up(directory, run)
    except SelfInstructError as error:
        found = _problems(error, settings)
    for finding in found:
        add(finding)
    if run is not None and is_ready():
        examined = asyncio.run(_examine(run, add))
    names = ("requests", "prompt_tokens", "completion_tokens")
    counts = {name: getattr(examined, name, 0) for name in names}
    if json_output:
        shown = [asdict(finding) for finding in findings]
        print_json({"ready": is_ready(), "findings": shown, **counts})
    else:
        typer.echo(_end(examined, is_ready=is_ready()))
    if not is_ready():
        raise typer.Exit(4 if examined is not None else 2)


def _lines(finding: "Finding") -> Iterator[str]:
    """Yield the lines that show a finding, with control characters escaped."""
    label = f"{_MARKS[finding.mark]} {finding.name}"
    for text in filter(None, (finding.said, finding.remedy and f"→ {finding.remedy}")):
        for part in parts(visible(text, keep=""), columns() - _NAME_COLUMNS):
            yield f"{label:<{_NAME_COLUMNS}}{part}"
            label = ""


def _end(examined: "Doctor | None", *, is_ready: bool) -> str:
    used = "No request was sent."
    if examined is not None:
        tokens = counted(examined.prompt_tokens + examined.completion_tokens, "token")
        used = f"This check took {counted(examined.requests, 'request')}, {tokens}."
    if is_ready:
        used += "\nNext, with the same flags: selfinstruct run --preview"
    return f"\nA run {'can' if is_ready else 'cannot'} start. {used}"


def _problems(error: "SelfInstructError", settings: Mapping[str, Any]) -> "Iterator[Finding]":
    """Yield the error that prevents the run, and further problems, so that the user can fix all of them."""
    from selfinstruct.config.reading import load_settings
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.errors import ConfigError, SelfInstructError
    from selfinstruct.llm.doctor import Finding

    said = f"{error.setting}: {error.problem}" if isinstance(error, ConfigError) else str(error)
    yield Finding("setup", "bad", said)
    with suppress(SelfInstructError):
        yield from _connection(RunConfig(**load_settings("settings", settings)))


def _set_up(directory: Path | None, run: "Run") -> "Iterator[Finding]":
    """Yield findings about everything that can be checked without a request."""
    from selfinstruct.llm.doctor import Finding

    classification = sum(seed.is_classification for seed in run.seed_tasks)
    seeds = f"{len(run.seed_tasks)}, {classification} for classification"
    yield Finding("seed tasks", "ok", seeds)
    yield Finding("templates", "ok", f"{len(run.templates)} for the recipe {run.recipe.name}")
    if directory is not None:
        yield _output(directory, run)
    yield from _connection(run.config)


def _output(directory: Path, run: "Run") -> "Finding":
    """Check that files can be written to the run directory."""
    from selfinstruct.llm.doctor import Finding
    from selfinstruct.runner.directory import is_run
    from selfinstruct.runner.lock import holder

    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = "change its permissions, or choose another directory with -o"
        return Finding("output", "bad", f"{existing} is not writable", remedy)
    if not is_run(directory):
        return Finding("output", "ok", f"{directory} is new and writable")
    pid = holder(directory)
    if pid is not None:
        return Finding("output", "open", f"process {pid} is writing to {directory}")
    done = f"{run.state.accepted:,} of {run.config.num_instructions:,} instructions"
    return Finding("output", "ok", f"{directory} contains a run with {done}")


def _connection(config: "EndpointSettings") -> "Iterator[Finding]":
    """Check the address, key, headers and HTTP client. Never shows the value of an environment variable."""
    from selfinstruct.config.endpoint_address import address
    from selfinstruct.errors import ConfigError
    from selfinstruct.llm.doctor import Finding
    from selfinstruct.llm.http_client import NO_KEY, api_key, http_client

    name = "address"
    try:
        yield Finding(name, "ok", address(config, environ=os.environ))
        name = "key"
        if api_key(config, environ=os.environ) == NO_KEY:
            said = f"${config.api_key_env} is not set; a local server usually needs no key"
            yield Finding(name, "open", said)
        else:
            yield Finding(name, "ok", f"${config.api_key_env} is set")
        if config.extra_header:
            yield Finding("headers", "ok", ", ".join(config.extra_header))
        name = "client"
        http_client(config, environ=os.environ)
    except ConfigError as error:
        said = error.problem if name == "key" else str(error)
        yield Finding("headers" if error.setting == "extra_header" else name, "bad", said)


async def _examine(run: "Run", add: "Callable[[Finding], None]") -> "Doctor":
    from selfinstruct.llm.client import EndpointClient
    from selfinstruct.llm.doctor import Doctor

    config = run.config
    hurried = config.capped(
        request_timeout_s=_MAX_REQUEST_TIMEOUT_S, connect_timeout_s=_MAX_CONNECT_TIMEOUT_S
    )
    async with EndpointClient(hurried, environ=os.environ) as client:
        samplings = {stage.name: stage.sampling(config) for stage in run.recipe.stages}
        examined = Doctor(client, config, samplings)
        async for finding in examined.findings():
            add(finding)
    return examined
