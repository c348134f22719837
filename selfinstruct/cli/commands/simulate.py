"""`selfinstruct simulate`: the simulated endpoint, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer


def _latency(value: str) -> tuple[float, float]:
    low, _, high = value.partition(":")
    try:
        latency_ms = float(low), float(high or low)
    except ValueError:
        raise typer.BadParameter("expected milliseconds, as in 50 or 20:200") from None
    if not 0 <= latency_ms[0] <= latency_ms[1]:
        raise typer.BadParameter("expected a range such as 20:200, the smaller number first")
    return latency_ms


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    model: Annotated[str, typer.Option("--model", "-m", help="Name of the model.")] = "simulated",
    latency_ms: Annotated[
        str, typer.Option(metavar="MS|LOW:HIGH", help="Delay of every reply, fixed or drawn.")
    ] = "0",
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a line for every request.", show_default=False),
    ] = None,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Fail as this plan in YAML says.", show_default=False),
    ] = None,
) -> None:
    """Serve an OpenAI-compatible endpoint on loopback whose replies are made up, for rehearsals.

    Example: selfinstruct simulate --port 8000 --latency-ms 50, and beside it
    selfinstruct run -o rehearsal -m simulated --base-url http://127.0.0.1:8000/v1

    On a bad day: selfinstruct simulate --faults plan.yaml, with such a plan:
    per_attempt: [{fault: status, share: 0.1, status: 429}]
    """
    from selfinstruct.errors import ConfigError, InputError
    from selfinstruct.files import because
    from selfinstruct.runner.run_files import owning_run
    from selfinstruct.simulate.faults.plan_file import read_fault_plan
    from selfinstruct.simulate.faults.plan_values import FaultPlanError
    from selfinstruct.simulate.server.listening import serve

    bounds = _latency(latency_ms)
    plan = None
    if faults is not None:
        try:
            plan = read_fault_plan(faults)
        except FaultPlanError as error:
            raise InputError(faults, error.problem, line=error.line) from None
    try:
        run = owning_run(log) if log is not None else None
        if log is not None and run is not None:
            problem = f"is a part of the run in {run} and is not written to; choose another name"
            raise InputError(log, problem)
        # The address is the data of this command: the first line of stdout.
        serve(port=port, model=model, latency_ms=bounds, log=log, faults=plan, on_ready=typer.echo)
    except OSError as error:
        if log is not None and error.filename is not None:
            raise InputError(log, f"cannot be written {because(error)}") from None
        problem = f"{port} cannot be used ({error.strerror}); choose another with --port"
        raise ConfigError("port", problem) from None
