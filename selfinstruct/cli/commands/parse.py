"""`selfinstruct parse`: parse recorded replies as a run would."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import typer

from selfinstruct.records import Stage

_MAX_LINE = 100_000_000
"""Bytes of a line."""


def parse(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|-",
            help="JSON lines, each with completion and, if known, finish_reason, instruction, "
            "is_classification, num_prompt_instructions, prompt. - is stdin.",
        ),
    ],
    stage: Annotated[Stage, typer.Option("--stage", "-s", help="Stage of the replies.")],
    profile: Annotated[
        Literal["default", "paper"],
        typer.Option("--profile", "-p", help="Parser and filters."),
    ] = "default",
    recipe: Annotated[
        Literal["self-instruct", "alpaca"], typer.Option(help="Recipe of the prompts.")
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
            help="Reject candidates in a script that these tasks do not use.",
            show_default="any script",
        ),
    ] = None,
) -> None:
    """Parse recorded replies as a run would, and print accepted and rejected items.

    Writes a JSON line for each input line: candidates, is_classification (null if unclear) or instances, and
    always rejections. Does not check novelty, which needs a pool.

    Example: selfinstruct parse replies.jsonl --stage generate

    Example: jq -c 'select(.kind == "completion_received" and .stage == "instances") | .completion |
    {completion: .text, finish_reason}' my-run/journal.jsonl | selfinstruct parse - --stage instances
    """
    from selfinstruct.analysis.parse_replies import RecordedReply, parse_again
    from selfinstruct.errors import InputError
    from selfinstruct.pipeline.filters import scripts_of
    from selfinstruct.pipeline.seed_tasks import read_seed_tasks

    if recipe == "alpaca" and stage != "generate":
        raise typer.BadParameter("alpaca has only the stage generate", param_hint="--stage")
    named = Path("stdin") if str(file) == "-" else file
    scripts = frozenset[str]()
    if seed_tasks is not None:
        scripts = scripts_of([task.instruction for task in read_seed_tasks(seed_tasks)])
    for number, line in _lines(file):
        try:
            reply = RecordedReply.from_mapping(json.loads(line))
        except json.JSONDecodeError as error:
            raise InputError(named, f"is not JSON: {error.msg.lower()}", line=number) from None
        except UnicodeDecodeError:
            raise InputError(named, "is not UTF-8 text", line=number) from None
        except RecursionError:
            raise InputError(named, "is nested too deeply", line=number) from None
        except ValueError as error:
            raise InputError(named, str(error), line=number) from None
        result = parse_again(
            reply, stage=stage, profile=profile, recipe=recipe, api=api, scripts=scripts
        )
        typer.echo(_json(result))


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines with their numbers as they arrive, so that a pipe can be watched."""
    from selfinstruct.errors import InputError
    from selfinstruct.files import because

    named = "stdin" if str(file) == "-" else file

    def numbered(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
        lines = iter(lambda: stream.readline(_MAX_LINE + 1), b"")
        for number, line in enumerate(lines, start=1):
            if len(line) > _MAX_LINE:
                problem = f"is longer than {_MAX_LINE:,} bytes; check that FILE holds JSON lines"
                raise InputError(named, problem, line=number)
            if line.strip():
                yield number, line

    try:
        if str(file) != "-":
            with file.open("rb") as stream:
                yield from numbered(stream)
        elif sys.stdin is None:
            raise InputError("stdin", "is closed; name a file")
        else:
            yield from numbered(sys.stdin.buffer)
    except OSError as error:
        raise InputError(named, f"cannot be read {because(error)}") from None


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, which only a JSON escape can represent
        text = json.dumps(value)
    return text
