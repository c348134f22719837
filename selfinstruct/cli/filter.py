"""`selfinstruct filter`: near duplicates taken out of anyone's list of records."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli.options import JsonOption


class FileFormat(StrEnum):
    """What a list of records can look like."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Tokenizer(StrEnum):
    """What a word is."""

    UNICODE = "unicode"
    ROUGE = "rouge"


def filter(  # noqa: A001
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Lists of records, one behind the other: .json, .jsonl, .csv, .parquet, the first three "
            "also with .gz; - is stdin.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file for what is kept; its suffix says the format. - is stdout.",
            show_default=False,
        ),
    ],
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME",
            help="What is compared; give it again to take several together. May lead into what is "
            "nested: messages.0.content.",
            show_default="instruction",
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold", "-t", help="Rejected is what has a ROUGE-L over it to something kept."
        ),
    ] = 0.7,
    tokenizer: Annotated[
        Tokenizer,
        typer.Option(
            "--tokenizer",
            help="What a word is: unicode knows every script, rouge (as published) a–z and 0–9. Texts "
            "without any word are kept uncompared, and counted.",
        ),
    ] = Tokenizer.UNICODE,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="Records that count as kept before, and are not written: an earlier dataset, the seed "
            "tasks, a benchmark. May be given again.",
            show_default=False,
        ),
    ] = None,
    against_field: Annotated[
        list[str] | None,
        typer.Option(
            "--against-field",
            metavar="NAME",
            help="What is compared of these.",
            show_default="as --field",
        ),
    ] = None,
    rejected: Annotated[
        Path | None,
        typer.Option(
            "--rejected",
            metavar="FILE",
            help="A file for what is rejected, with witness, witness_place and rouge_l added.",
            show_default=False,
        ),
    ] = None,
    similarities: Annotated[
        bool,
        typer.Option(
            "--similarities",
            help="Add to each kept record most_similar_instructions (the 10 nearest before it) and "
            "avg_similarity_score.",
        ),
    ] = False,
    input_format: Annotated[
        FileFormat | None,
        typer.Option(
            "--input-format",
            help="How each INPUT is read.",
            show_default="by suffix, or first character",
        ),
    ] = None,
    output_format: Annotated[
        FileFormat | None,
        typer.Option(
            "--output-format",
            help="How FILE is written.",
            show_default="by suffix, or as the first INPUT",
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Take near duplicates out of lists of records, in order; the first of each kind is kept.

    Exact: what a run would reject as too similar is rejected here. The rest of
    a record stays as it is. Files are written whole or not at all.

    Example: selfinstruct filter alpaca_data.json -o clean.json --rejected duplicates.jsonl

    Example: zcat *.jsonl.gz | selfinstruct filter - -o clean.parquet --field messages.0.content
    """
    import json

    from selfinstruct.cli.filtered import Job, carry_out
    from selfinstruct.cli.stopping import load_ahead, stopped_by_signals
    from selfinstruct.cli.terminal import say

    job = Job(
        inputs=inputs,
        output=output,
        fields=field or ["instruction"],
        threshold=threshold,
        tokenizer=tokenizer.value,
        against=against or [],
        against_fields=against_field or field or ["instruction"],
        rejected=rejected,
        similarities=similarities,
        input_format=input_format.value if input_format else None,
        output_format=output_format.value if output_format else None,
        quiet=quiet,
    )
    is_piped = "-" in (str(output), str(rejected))
    if json_output and is_piped:
        raise typer.BadParameter(
            "has no place: stdout is taken by -o - or --rejected -", param_hint="--json"
        )
    load_ahead([*inputs, *job.against, output, rejected or output])
    try:
        with stopped_by_signals() as hold:
            tally = carry_out(job, hold)
            if json_output:
                typer.echo(json.dumps(tally.as_json()))
            elif not quiet:
                say(*tally.lines(job))
    except KeyboardInterrupt:
        say("interrupted" if is_piped else "interrupted; nothing was written")
        raise typer.Exit(130) from None
