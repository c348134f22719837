"""`selfinstruct decontaminate`: remove records that contain text from a benchmark."""

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
            help="Benchmark file in its original layout. The layouts of MMLU, HellaSwag and HumanEval are "
            "known; in other files, all texts are compared. Repeat for several files.",
        ),
    ],
    ngram: Annotated[
        int,
        typer.Option(
            min=2,
            metavar="N",
            help="Drop records that share N consecutive words with a benchmark item.",
        ),
    ] = 13,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            "-t",
            metavar="N",
            help="Drop records if one of their texts has a ROUGE-L over N to a text in a benchmark item.",
        ),
    ] = 0.7,
    no_rouge: Annotated[
        bool, typer.Option(help="Compare consecutive words only, not ROUGE-L.")
    ] = False,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Record field to search, including nested fields. Repeat for several fields.",
            show_default="all texts",
        ),
    ] = None,
    against_field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Benchmark field to compare with, instead of the fields of its layout.",
        ),
    ] = None,
    common: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Ignore consecutive words that more than N different items of a benchmark share, because "
            "they are common phrases.",
        ),
    ] = 10,
    rejected: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File for the dropped records, with the field contamination added."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File (.jsonl) with one line per hit: its record, field, words and item.",
        ),
    ] = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    quiet: Quiet = False,
    json_output: JsonOption = False,
) -> None:
    """Remove records that contain text from a benchmark, and report each hit.

    A record is dropped if one of its texts shares 13 consecutive words with a benchmark item, or is similar
    to an item. The other records are not changed. Files are written completely or not at all.

    Example: selfinstruct decontaminate alpaca_data.json -o clean.json --against mmlu.jsonl --against humaneval.parquet --report hits.jsonl
    """  # noqa: E501 - a line end in an example could not be typed
    options = {**locals()}  # first, while the parameters are the only names
    from selfinstruct.cli.dataset_jobs import run_job
    from selfinstruct.cli.dataset_lines import decontaminate_lines
    from selfinstruct.dataset.decontamination.decontaminate_records import decontaminate_records

    run_job(decontaminate_records, decontaminate_lines, options)
