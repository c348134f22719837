"""`selfinstruct filter`: near duplicates taken out of anyone's list of records."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli.options import JsonOption
from selfinstruct.cli.record_options import InputFormat, Inputs, Output, OutputFormat, Quiet


class Tokenizer(StrEnum):
    """What a word is."""

    UNICODE = "unicode"
    ROUGE = "rouge"


def filter(  # noqa: A001
    inputs: Inputs,
    output: Output,
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
            "--threshold",
            "-t",
            help="Rejected is what has a ROUGE-L over it to something kept. Nothing is over 1, so that 1 "
            "keeps even exact copies.",
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
    keep_equal: Annotated[
        bool,
        typer.Option(
            "--keep-equal",
            help="Keep a record whose text is exactly that of a kept one, too: one instruction with "
            "several inputs. Near duplicates are rejected as ever.",
        ),
    ] = False,
    similarities: Annotated[
        bool,
        typer.Option(
            "--similarities",
            help="Add to each kept record most_similar_instructions (the 10 nearest before it) and "
            "avg_similarity_score.",
        ),
    ] = False,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    quiet: Quiet = False,
    json_output: JsonOption = False,
) -> None:
    """Take near duplicates out of lists of records, in order; the first of each kind is kept.

    Exact: what a run would reject as too similar is rejected here. The rest of
    a record stays as it is. Files are written whole or not at all.

    Example: selfinstruct filter alpaca_data.json -o clean.json --rejected duplicates.jsonl

    Example: zcat *.jsonl.gz | selfinstruct filter - -o clean.parquet --field messages.0.content
    """
    from selfinstruct.cli.filter_job import Job, carry_out
    from selfinstruct.cli.record_files import work_on_lists

    if against_field and not against:
        raise typer.BadParameter(
            "names what is compared of --against, which is not given; add --against FILE",
            param_hint="--against-field",
        )
    job = Job(
        inputs=inputs,
        output=output,
        fields=field or ["instruction"],
        threshold=threshold,
        tokenizer=tokenizer.value,
        against=against or [],
        against_fields=against_field or field or ["instruction"],
        rejected=rejected,
        keep_equal=keep_equal,
        similarities=similarities,
        input_format=input_format.value if input_format else None,
        output_format=output_format.value if output_format else None,
        quiet=quiet,
    )
    work_on_lists(
        carry_out,
        job,
        inputs=[*inputs, *job.against],
        outputs=[output, rejected],
        json_output=json_output,
        quiet=quiet,
    )
