"""`selfinstruct decontaminate`: records that hold what a benchmark asks, taken out of anyone's list."""

from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli.options import JsonOption
from selfinstruct.cli.record_options import InputFormat, Inputs, Output, OutputFormat, Quiet


def decontaminate(
    inputs: Inputs,
    output: Output,
    against: Annotated[
        list[str],
        typer.Option(
            "--against",
            metavar="BENCHMARK",
            help="A benchmark as its loader writes it; MMLU, HellaSwag and HumanEval are known, of others "
            "every text counts. Give it again for each file.",
            show_default=False,
        ),
    ],
    ngram: Annotated[
        int,
        typer.Option(
            "--ngram",
            min=2,
            metavar="N",
            help="Dropped is what has N words in a row that an item has, too.",
        ),
    ] = 13,
    threshold: Annotated[
        float,
        typer.Option(
            "--threshold",
            "-t",
            metavar="N",
            help="Dropped is a record with a text that has a ROUGE-L over it to a text of an item.",
        ),
    ] = 0.7,
    no_rouge: Annotated[
        bool, typer.Option("--no-rouge", help="Look at words in a row only.")
    ] = False,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="NAME",
            help="The field of a record that is looked at, with what is nested in it; give it again for "
            "several.",
            show_default="every text",
        ),
    ] = None,
    against_field: Annotated[
        list[str] | None,
        typer.Option(
            "--against-field",
            metavar="NAME",
            help="The field of a benchmark whose text counts, in place of what is known of it.",
            show_default=False,
        ),
    ] = None,
    common: Annotated[
        int,
        typer.Option(
            "--common",
            min=1,
            metavar="N",
            help="Words in a row that more different items of a benchmark than this have are how it talks, "
            "and no hit.",
        ),
    ] = 10,
    rejected: Annotated[
        Path | None,
        typer.Option(
            "--rejected",
            metavar="FILE",
            help="A file for what is dropped, with contamination added.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="A .jsonl file, a line for each hit: where, what, and in which item.",
            show_default=False,
        ),
    ] = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    quiet: Quiet = False,
    json_output: JsonOption = False,
) -> None:
    """Take records out that hold what a benchmark asks, and say what was hit and where.

    A record is dropped if one of its texts has 13 words in a row that an item has, too, or reads like one.
    Nothing else of a record is looked at or changed. The file is written whole or not at all.

    Example: selfinstruct decontaminate alpaca_data.json -o clean.json --against mmlu.jsonl --against humaneval.parquet --report hits.jsonl
    """  # noqa: E501 - a line end in an example could not be typed
    from selfinstruct.cli.benchmark_files import Rules
    from selfinstruct.cli.decontaminate_job import Job, carry_out
    from selfinstruct.cli.record_files import work_on_lists

    rules = Rules(
        ngram=ngram,
        threshold=None if no_rouge else threshold,
        common=common,
        fields=against_field or [],
    )
    job = Job(
        inputs=inputs,
        output=output,
        against=list(dict.fromkeys(against)),
        rules=rules,
        fields=field or [],
        rejected=rejected,
        report=report,
        input_format=input_format.value if input_format else None,
        output_format=output_format.value if output_format else None,
        quiet=quiet,
    )
    work_on_lists(
        carry_out,
        job,
        inputs=[*inputs, *against],
        outputs=job.outputs,
        json_output=json_output,
        quiet=quiet,
    )
