"""`selfinstruct status`: how far a run is."""

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption


def status(directory: DirectoryArgument, json_output: JsonOption = False) -> None:
    """Show how far a run is and what became of its candidates, also while it runs.

    Example: selfinstruct status my-run
    """
    from selfinstruct.cli.funnel import funnel_lines
    from selfinstruct.generate import is_complete
    from selfinstruct.lock import holder
    from selfinstruct.run_directory import read_run
    from selfinstruct.summary import summarize

    run = read_run(directory)
    summary = summarize(run.state)
    pid = holder(directory)
    if pid is not None:
        condition = f"running (process {pid})"
    elif not run.state.counts.requests:
        condition = "nothing asked yet"
    elif is_complete(run):
        condition = "complete"
    elif run.state.finished is not None:
        condition = run.state.finished.reason
    else:
        condition = "interrupted"
    if json_output:
        import json

        fields = {
            "directory": str(directory),
            "condition": "running" if pid is not None else condition,
            "pid": pid,
            "model": run.config.model,
            "target": run.config.num_instructions,
        }
        typer.echo(json.dumps(fields | summary.as_json()))
        return
    from selfinstruct.cli.terminal import visible

    target = run.config.num_instructions
    typer.echo(
        f"{visible(str(directory), keep='')}: {condition}, {summary.accepted:,} of {target:,} instructions, "
        f"model {visible(run.config.model)}"
    )
    if run.state.finished is not None and run.state.finished.detail and pid is None:
        typer.echo(f"  {visible(run.state.finished.detail)}")
    typer.echo("\n".join(funnel_lines(summary)))
