"""The command `selfinstruct decontaminate`: removes records that contain what a benchmark asks."""

from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli.options import InputFormat, Inputs, JsonOption, KeptFile, OutputFormat, Quiet


def decontaminate(
    inputs: Inputs,
    output: KeptFile,
    against: Annotated[
        list[str],
        typer.Option(
            metavar="BENCHMARK",
            help="Benchmark file in its original layout. MMLU, HellaSwag and HumanEval are known; in other "
            "files every text counts. Repeat for each file.",
        ),
    ],
    ngram: Annotated[
        int,
        typer.Option(
            min=2, metavar="N", help="Drop records that share N words in a row with an item."
        ),
    ] = 13,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            "-t",
            metavar="N",
            help="Drop records with a text that has a ROUGE-L over N to a text of an item.",
        ),
    ] = 0.7,
    no_rouge: Annotated[bool, typer.Option(help="Compare words in a row only.")] = False,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Field of a record to search, with its nested fields; repeat for several.",
            show_default="every text",
        ),
    ] = None,
    against_field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Field of a benchmark to compare with, in place of the fields of its layout.",
        ),
    ] = None,
    common: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Ignore words in a row that more than N different items of a benchmark share: they are "
            "its usual phrases.",
        ),
    ] = 10,
    rejected: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File for the dropped records, with contamination added."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File in .jsonl with a line per hit: record, field, words and item.",
        ),
    ] = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    quiet: Quiet = False,
    json_output: JsonOption = False,
) -> None:
    """Remove records that contain what a benchmark asks, and report each hit.

    A record is dropped if one of its texts shares 13 words in a row with an item, or is similar to an item.
    The other records stay as they are. Files are written completely or not at all.

    Example: selfinstruct decontaminate alpaca_data.json -o clean.json --against mmlu.jsonl --against humaneval.parquet --report hits.jsonl
    """  # noqa: E501 - a line end in an example could not be typed
    options = {**locals()}  # first, while the parameters are the only names
    from selfinstruct.cli.dataset_jobs import run_job
    from selfinstruct.cli.dataset_lines import decontaminate_lines
    from selfinstruct.dataset.decontamination.decontaminate_records import decontaminate_records

    run_job(decontaminate_records, decontaminate_lines, options)
