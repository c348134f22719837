"""`selfinstruct export`: write a run or an Alpaca-style list in a format for trainers."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from selfinstruct.cli.options import FileFormat, InputFormat, JsonOption, Quiet

Format = Literal[
    "alpaca", "jsonl", "prompt-completion", "messages", "sharegpt", "csv", "parquet", "datasets"
]
"""The layout of a row. The rows of jsonl, csv, parquet and datasets have all columns."""
Container = Literal[FileFormat, "datasets"]
"""The file format."""

_rows = partial(typer.Option, rich_help_panel="Which rows")
_beside = partial(typer.Option, rich_help_panel="Files next to the data")


def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR|FILE",
            help="Run directory, or Alpaca-style list (.json, .jsonl, .csv or .parquet); - is stdin.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File or directory to write; - is stdout. The suffix determines the file format, as in "
            "-f messages -o chats.parquet.",
        ),
    ],
    format: Annotated[  # noqa: A002
        Format,
        typer.Option(
            "--format",
            "-f",
            help="alpaca: instruction, input, output. prompt-completion: Alpaca's prompt, and completion. "
            "messages: chats for OpenAI and TRL. sharegpt: conversations between human and gpt. "
            "jsonl, csv, parquet, datasets: all columns, with ids and provenance, in a file of this "
            "format; datasets is a directory for load_from_disk.",
        ),
    ] = "alpaca",
    container: Annotated[
        Container | None,
        typer.Option(
            help="File format, if neither the suffix nor --format determines it, as in "
            "-f messages --container datasets.",
            show_default="by suffix or --format",
        ),
    ] = None,
    include_seed_tasks: Annotated[bool, _rows(help="Also export the seed tasks, first.")] = False,
    limit: Annotated[
        int | None,
        _rows(
            min=1,
            help="Export only the first N instructions, not counting seed tasks.",
            show_default="all",
        ),
    ] = None,
    max_instances_per_task: Annotated[
        int | None,
        _rows(min=1, help="Export only the first N rows of each instruction.", show_default="all"),
    ] = None,
    split: Annotated[
        str | None,
        _rows(
            metavar="SHARES",
            help="Split by instruction into several files: 0.95/0.05 for train and test, 0.9/0.05/0.05 for "
            "train, validation and test. An instruction stays in its part when the dataset grows.",
        ),
    ] = None,
    shuffle_seed: Annotated[
        int | None,
        _rows(
            help="Shuffle the rows with this seed. The seed also determines the parts of --split.",
            show_default="not shuffled",
        ),
    ] = None,
    decontaminate: Annotated[
        list[str] | None,
        _rows(
            metavar="BENCHMARK",
            help="Leave out rows that contain text from this benchmark, by the rules of selfinstruct "
            "decontaminate. Repeat for several files.",
        ),
    ] = None,
    similarities: Annotated[
        bool,
        typer.Option(
            help="Add the similarity to earlier tasks, as in the published data: most_similar_instructions "
            "(10, with their ROUGE-L) and avg_similarity_score."
        ),
    ] = False,
    system: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="System message for each chat (messages, sharegpt)."),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Jinja template that joins instruction and input (prompt-completion, messages, "
            "sharegpt).",
            show_default="Alpaca's prompt for prompt-completion; a blank line between them for chats",
        ),
    ] = None,
    csv_safe: Annotated[
        bool,
        typer.Option(
            help="Put an apostrophe before cells that a spreadsheet program would run as a formula. Use this "
            "for files to read, not for training."
        ),
    ] = False,
    llama_factory: Annotated[
        bool,
        _beside(
            help="For LLaMA-Factory: add the file to dataset_info.json in its directory. Other entries stay."
        ),
    ] = False,
    axolotl: Annotated[
        bool,
        _beside(help="Also write OUT.axolotl.yaml, with the lines for axolotl's configuration."),
    ] = False,
    card: Annotated[
        bool,
        _beside(
            help="Also write README.md, a dataset card for the Hugging Face Hub, with the origin of the data "
            "and open questions for its users."
        ),
    ] = False,
    license: Annotated[  # noqa: A002
        str | None,
        _beside(
            metavar="ID|TEXT", help="For the card: the licence of the dataset, such as cc-by-4.0."
        ),
    ] = None,
    model_terms: Annotated[
        str | None,
        _beside(
            metavar="TEXT|URL",
            help="For the card: the terms of the generating model for training on its output.",
        ),
    ] = None,
    source_license: Annotated[
        str | None,
        _beside(
            metavar="TEXT",
            help="For the card: the licence of your own seed tasks, templates or imported files.",
        ),
    ] = None,
    language: Annotated[
        list[str] | None,
        _beside(
            metavar="CODE",
            help="For the card: a language of the data, such as en. Repeat for several.",
        ),
    ] = None,
    input_format: InputFormat = None,
    quiet: Quiet = False,
    json_output: JsonOption = False,
) -> None:
    """Write a dataset in a format for trainers. Files are written completely or not at all.

    Example: selfinstruct export my-run -o alpaca_data.json

    Example: selfinstruct export my-run -f messages -o chats.jsonl --split 0.95/0.05

    Example: selfinstruct export my-run -o hub/data.parquet --card --license cc-by-4.0 --language en

    Example: selfinstruct export someones_alpaca.json -f sharegpt -o sharegpt.json --llama-factory
    """
    options = {**locals()}  # first, while the parameters are the only names
    from selfinstruct.cli.dataset_jobs import run_job
    from selfinstruct.cli.dataset_lines import export_lines
    from selfinstruct.dataset.export.export_records import export_records

    if not card and ({license, model_terms, source_license} != {None} or language):
        raise typer.BadParameter(
            "requires --card", param_hint="--license, --model-terms, --source-license or --language"
        )
    options["output"] = Path(output)
    options["language"] = [c.lower() if len(c) == 2 else c for c in language or []]
    for code in options["language"]:
        if re.fullmatch("[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", code) is None:
            problem = f"must be a code such as en or pt-BR, not {code!r}"
            raise typer.BadParameter(problem, param_hint="--language")
    if output.endswith("/") and "datasets" not in (format, container):
        raise typer.BadParameter(
            f"{output} is a directory; specify a file in it, such as {output}data.json",
            param_hint="--output",
        )
    run_job(export_records, export_lines, options)
