"""`selfinstruct demo`: run the whole pipeline without an API key."""

import json
import stat
from pathlib import Path
from typing import Annotated, Any

import typer

_SHOWN = 3


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The run directory.")
    ] = Path("demo-run"),
    num_instructions: Annotated[
        int,
        typer.Option("--num-instructions", "-n", min=1, help="Number of instructions to generate."),
    ] = 50,
) -> None:
    """Run the whole pipeline against a simulated endpoint, in a few seconds. Needs no key and no network.

    Example: selfinstruct demo
    """
    from selfinstruct.api import export_run
    from selfinstruct.cli.foreground_run import carry_out
    from selfinstruct.cli.output import say
    from selfinstruct.cli.summary_lines import record_lines
    from selfinstruct.errors import OtherVersionError, RunDirectoryError
    from selfinstruct.runner.manifest import refuse_irregular
    from selfinstruct.simulate.server.listening import SimulatedEndpoint

    dataset = output / "exports" / "alpaca_data.json"
    # The user did not choose this file's path, so the path must not lead through a link to somewhere else.
    names = {"exports": stat.S_IFDIR, "exports/alpaca_data.json": stat.S_IFREG}
    refuse_irregular(output, kinds=names)
    try:
        with SimulatedEndpoint(latency_ms=(5, 40)) as endpoint:
            carry_out(
                output,
                {
                    "model": "simulated",
                    "base_url": endpoint.base_url,
                    "num_instructions": num_instructions,
                    "api_key_env": "NO_KEY",  # do not read the user's real key
                },
                again="selfinstruct demo -o {directory}",
            )
    except OtherVersionError:
        raise RunDirectoryError(
            output,
            "contains a demo run by another version of selfinstruct, which this version cannot continue; "
            "delete the directory, or choose another one with -o",
        ) from None
    export_run(output, dataset)
    rows = json.loads(dataset.read_bytes())
    say(
        "",
        f"{len(rows):,} rows are in {dataset}. The simulated endpoint",
        "builds its text from word lists; a real model writes better. Three of the rows:",
        *record_lines(_examples(rows)),
        "",
        "With a real model:",
        "  export OPENAI_API_KEY=…",
        "  selfinstruct run -o my-run -m gpt-5.4-mini -n 100",
        "or, against a local server:",
        "  selfinstruct run -o my-run -m MODEL --base-url http://localhost:8000/v1 -n 100",
    )


def _examples(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return short rows from the beginning, the middle and the end."""
    third = max(1, len(rows) // _SHOWN)
    parts = [rows[start : start + third] for start in range(0, third * _SHOWN, third)]
    return [min(part, key=lambda row: len("".join(row.values()))) for part in parts if part]
