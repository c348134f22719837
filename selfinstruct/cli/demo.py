"""`selfinstruct demo`: the whole pipeline in a few seconds, without a key."""

from pathlib import Path
from typing import Annotated

import typer

_SHOWN = 3


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The run directory.")
    ] = Path("demo-run"),
    num_instructions: Annotated[
        int, typer.Option("--num-instructions", "-n", min=1, help="Instructions to reach.")
    ] = 50,
) -> None:
    """Run the whole pipeline against the simulated endpoint: no key, no network, a few seconds.

    Example: selfinstruct demo
    """
    from selfinstruct.api import export_run
    from selfinstruct.cli.funnel import record_lines, say
    from selfinstruct.cli.run import carry_out
    from selfinstruct.export import alpaca_rows, select
    from selfinstruct.run_directory import read_run
    from selfinstruct.simulate.server import SimulatedEndpoint

    with SimulatedEndpoint(latency_ms=(5, 40)) as endpoint:
        carry_out(
            output,
            {
                "model": "simulated",
                "base_url": endpoint.base_url,
                "num_instructions": num_instructions,
            },
        )
    dataset = output / "exports" / "alpaca_data.json"
    export_run(output, dataset)
    rows = list(alpaca_rows(select(read_run(output).state.pool)))
    step = max(1, len(rows) // _SHOWN)
    say("", f"{len(rows):,} rows in {dataset}, for example:", *record_lines(rows[::step][:_SHOWN]))
    say(
        "",
        "The text is made up by the simulated endpoint. With a real model:",
        "  export OPENAI_API_KEY=…",
        "  selfinstruct run -o my-run -m gpt-4.1-mini -n 100",
        "or, against a local server:",
        "  selfinstruct run -o my-run -m MODEL --base-url http://localhost:8000/v1 -n 100",
    )
