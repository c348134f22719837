"""`selfinstruct import`: start a run from files that the published Self-Instruct or Alpaca code wrote."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfinstruct.cli.options import JsonOption, with_settings
from selfinstruct.cli.output import print_json, say
from selfinstruct.cli.text_layout import breakdown, row

if TYPE_CHECKING:
    from selfinstruct.dataset.importing.directory import Import


@with_settings
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="machine_generated_instructions.jsonl, is_clf_or_not_….jsonl, "
            "machine_generated_instances.jsonl, regen.json, alpaca_data.json or any Alpaca-style list, in "
            "any order: JSON, JSONL, CSV or Parquet.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="The run directory to create; must be new or empty.",
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG.yaml", help="Settings file; flags take precedence."),
    ] = None,
    json_output: JsonOption = False,
    **settings: Any,
) -> None:
    """Create a run from files of the published Self-Instruct or Alpaca code, without sending requests.

    Every instruction becomes a task, unchanged. `selfinstruct run DIR -m MODEL` then requests missing
    classifications and instances; with a larger -n, also more instructions. By default, -n is the number of
    imported tasks.

    Example: selfinstruct import regen.json -o my-run

    Example: selfinstruct import machine_generated_*.jsonl is_clf_or_not_*.jsonl -o my-run --profile paper
    """
    from dataclasses import asdict

    from selfinstruct.cli.progress_bar import bar
    from selfinstruct.cli.signals import load_ahead, stopped_by_signals
    from selfinstruct.config.reading import load_settings, read_settings
    from selfinstruct.dataset.importing.directory import import_run

    explicit = {**(read_settings(config) if config is not None else {}), **settings}
    load_ahead(files)
    try:
        with stopped_by_signals(), bar(quiet=json_output) as show:
            done = import_run(output, files, load_settings("", explicit), show=show)
    except KeyboardInterrupt:
        say("interrupted; no run was created; repeat the command to try again")
        raise typer.Exit(130) from None
    if json_output:
        print_json({"directory": str(output), **asdict(done)})
    else:
        typer.echo("\n".join(_lines(output, done)))


def _lines(directory: Path, done: "Import") -> Iterator[str]:
    """Yield the summary: files, tasks, and records that were left out."""
    from selfinstruct.dataset.importing.merge import MEANING
    from selfinstruct.display import counted, visible

    name = visible(str(directory), keep="")
    yield f"{name}: {counted(done.tasks, 'task')} imported"
    for file in done.files:
        records = counted(file.records, "record")
        yield f"  {visible(file.name, keep='')}: {file.form}, {records}"
    yield ""
    yield row("tasks", done.tasks)
    yield row("  with instances", done.with_instances, f"{done.rows:,} rows")
    if done.without_instances:
        kinds = (
            f", and for {done.without_kind:,} the classification first" if done.without_kind else ""
        )
        yield row("  still open", done.without_instances, f"a run requests instances{kinds}")
    yield from breakdown("instances rejected", done.instances_rejected)
    yield from breakdown("records left out", done.left_out, MEANING)
    if done.repaired:
        yield row("records repaired", done.repaired, "lone surrogates were replaced with U+FFFD")
    quoted = shlex.quote(name)
    model = "" if done.model else " -m MODEL"
    yield ""
    if done.without_instances:
        yield f"To complete it: selfinstruct run {quoted}{model}"
    yield f"To grow it:     selfinstruct run {quoted}{model} -n {2 * done.tasks}"
    yield f"To export it:   selfinstruct export {quoted} -o alpaca_data.json"
