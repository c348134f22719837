"""`selfinstruct filter`: remove near-duplicates from lists of records."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from selfinstruct.cli.options import InputFormat, Inputs, JsonOption, KeptFile, OutputFormat, Quiet


def filter(  # noqa: A001
    inputs: Inputs,
    output: KeptFile,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Field to compare. Repeat to compare several fields together. A nested field is written as "
            "messages.0.content.",
            show_default="instruction",
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            "-t",
            help="Reject records that have a ROUGE-L over this value to a kept record. 1 keeps even exact "
            "copies.",
        ),
    ] = 0.7,
    tokenizer: Annotated[
        Literal["unicode", "rouge"],
        typer.Option(
            help="How texts are split into words: unicode supports all scripts; rouge, as published, only "
            "a–z and 0–9. Texts without words are kept and counted."
        ),
    ] = "unicode",
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="File of records to compare with, such as an earlier dataset or a benchmark. These records "
            "are not written. Repeat for several files.",
        ),
    ] = None,
    against_field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Field to compare in the --against files.",
            show_default="same as --field",
        ),
    ] = None,
    rejected: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File for the rejected records, with the fields witness, witness_place and rouge_l added.",
        ),
    ] = None,
    keep_equal: Annotated[
        bool,
        typer.Option(
            help="Also keep records with exactly the same text as a kept record, such as one instruction "
            "with several inputs. Near-duplicates are still rejected."
        ),
    ] = False,
    similarities: Annotated[
        bool,
        typer.Option(
            help="Add most_similar_instructions (the 10 most similar earlier records) and "
            "avg_similarity_score to each kept record."
        ),
    ] = False,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    quiet: Quiet = False,
    json_output: JsonOption = False,
) -> None:
    """Remove near-duplicates from lists of records. Of several similar records, the first is kept.

    As in a run, each record is compared with every kept record by exact ROUGE-L. Other fields are not
    changed. Files are written completely or not at all.

    Example: selfinstruct filter alpaca_data.json -o clean.json --rejected duplicates.jsonl

    Example: zcat *.jsonl.gz | selfinstruct filter - -o clean.parquet --field messages.0.content
    """
    options = {**locals()}  # first, while the parameters are the only names
    from selfinstruct.cli.dataset_jobs import run_job
    from selfinstruct.cli.dataset_lines import filter_lines
    from selfinstruct.dataset.deduplication.filter_records import filter_records

    if against_field and not against:
        raise typer.BadParameter(
            "has no effect without --against; add --against FILE", param_hint="--against-field"
        )
    run_job(filter_records, filter_lines, options)
