"""`selfinstruct parse`: parse recorded replies as a run would."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from selfinstruct.config.recipe_defaults import RECIPE_DEFAULTS
from selfinstruct.records import Stage


def parse(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|-",
            help="JSON lines, each with completion and, if known, finish_reason, instruction, "
            "is_classification, num_prompt_instructions, prompt. - is stdin.",
        ),
    ],
    stage: Annotated[
        Stage, typer.Option("--stage", "-s", help="Stage of the requests that got the replies.")
    ],
    profile: Annotated[
        Literal["default", "paper"],
        typer.Option("--profile", "-p", help="Parser and filters to use."),
    ] = "default",
    recipe: Annotated[
        Literal[tuple(RECIPE_DEFAULTS)],  # type: ignore[valid-type]
        typer.Option(help="Recipe that the prompts were made for."),
    ] = "self-instruct",
    api: Annotated[
        Literal["chat", "completions"] | None,
        typer.Option(
            help="Whether a reply continues the prompt (completions) or answers it (chat).",
            show_default="detected from the text",
        ),
    ] = None,
    seed_tasks: Annotated[
        Path | None,
        typer.Option(
            help="Reject candidates written in a script that none of these tasks uses.",
            show_default="any script",
        ),
    ] = None,
) -> None:
    """Parse recorded replies as a run would, and print accepted and rejected items.

    Writes one JSON line for each input line. The line contains rejections and, depending on the stage,
    candidates, is_classification (null if unclear) or instances. Novelty is not checked, because that needs a
    pool.

    Example: selfinstruct parse replies.jsonl --stage generate

    Example: jq -c 'select(.kind == "completion_received" and .stage == "instances") | .completion |
    {completion: .text, finish_reason}' my-run/journal.jsonl | selfinstruct parse - --stage instances
    """
    from selfinstruct.analysis.parse_replies import RecordedReply, parse_again
    from selfinstruct.dataset.record_files import read_records
    from selfinstruct.pipeline.filters import scripts_of
    from selfinstruct.pipeline.recipes import RECIPES
    from selfinstruct.pipeline.seed_tasks import read_seed_tasks

    stages = [one.name for one in RECIPES[recipe].stages]
    if stage not in stages:
        plural = "s" * (len(stages) > 1)
        problem = f"the recipe {recipe} has only the stage{plural} {' and '.join(stages)}"
        raise typer.BadParameter(problem, param_hint="--stage")
    scripts = frozenset[str]()
    if seed_tasks is not None:
        scripts = scripts_of([task.instruction for task in read_seed_tasks(seed_tasks)])
    with read_records(file, format="jsonl") as records:
        for record in records:
            try:
                reply = RecordedReply.from_mapping(record.fields)
            except ValueError as error:
                raise record.fault(str(error)) from None
            result = parse_again(
                reply, stage=stage, profile=profile, recipe=recipe, api=api, scripts=scripts
            )
            # stdout writes a lone surrogate as \uXXXX, which is valid in JSON.
            typer.echo(json.dumps(result, ensure_ascii=False))
