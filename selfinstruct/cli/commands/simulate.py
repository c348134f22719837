"""`selfinstruct simulate`: run the simulated endpoint in the foreground."""

from pathlib import Path
from typing import Annotated

import typer


def _latency(value: str) -> tuple[float, float]:
    low, _, high = value.partition(":")
    try:
        latency_ms = float(low), float(high or low)
    except ValueError:
        raise typer.BadParameter("expected milliseconds, such as 50 or 20:200") from None
    if not 0 <= latency_ms[0] <= latency_ms[1]:
        raise typer.BadParameter("expected a range such as 20:200, the smaller number first")
    return latency_ms


def simulate(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 chooses a free port.")
    ] = 8000,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Name of the simulated model.")
    ] = "simulated",
    latency_ms: Annotated[
        str,
        typer.Option(
            metavar="MS|LOW:HIGH", help="Delay of each reply: fixed, or random in a range."
        ),
    ] = "0",
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Append two JSON lines per request to FILE: one when it arrives, one when it ends.",
        ),
    ] = None,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Fault plan in YAML: which requests fail, and how."),
    ] = None,
) -> None:
    """Serve a local OpenAI-compatible endpoint with made-up replies, to rehearse a run.

    Example: selfinstruct simulate --port 8000 --latency-ms 50, and in another terminal
    selfinstruct run -o rehearsal -m simulated --base-url http://127.0.0.1:8000/v1

    With faults: selfinstruct simulate --faults plan.yaml, where plan.yaml contains
    per_attempt: [{fault: status, share: 0.1, status: 429}]
    """
    from selfinstruct.errors import ConfigError, InputError
    from selfinstruct.files import because
    from selfinstruct.runner.run_file_names import owning_run
    from selfinstruct.simulate import SimulatedEndpoint, read_fault_plan

    delays = _latency(latency_ms)
    plan = read_fault_plan(faults) if faults is not None else None
    try:
        run = owning_run(log) if log is not None else None
        if log is not None and run is not None:
            raise InputError(log, f"is a file of the run in {run}; choose another name")
        # The first line on stdout is the address, so that scripts can read it.
        SimulatedEndpoint(port=port, model=model, latency_ms=delays, log=log, faults=plan).serve(
            on_ready=typer.echo
        )
    except OSError as error:
        if log is not None and error.filename is not None:
            raise InputError(log, f"cannot be written {because(error)}") from None
        problem = f"{port} cannot be used ({error.strerror}); choose another with --port"
        raise ConfigError("port", problem) from None
