"""`selfinstruct run --preview`: send one request of each stage and show it with its reply."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from selfinstruct.analysis.estimate import estimate_of
from selfinstruct.analysis.estimate.results import Estimate
from selfinstruct.analysis.preview import Item, Step, preview
from selfinstruct.api import checked_settings
from selfinstruct.cli.expected_cost import about, money_range
from selfinstruct.cli.output import is_terminal, print_json, say
from selfinstruct.cli.text_layout import columns, field, parts, print_blocks, wrapped
from selfinstruct.config.endpoint_address import address
from selfinstruct.config.schema import RunConfig
from selfinstruct.display import counted, visible
from selfinstruct.errors import BackendError
from selfinstruct.llm.online import open_backend
from selfinstruct.llm.request_body import api_path
from selfinstruct.records import Completion, Request
from selfinstruct.runner.directory import Run, planned_run

_MAX_ATTEMPTS = 3
_MAX_WAIT_S = 120.0
"""Maximum time to wait for the endpoint, in seconds, because a user waits for the preview."""
_PROMPT = ("messages", "prompt")
"""Fields of a request body that contain the prompt."""
_TITLES = {
    "generate": "new instructions",
    "classify": "is it a classification task?",
    "instances": "inputs and outputs",
}


def show_preview(directory: Path | None, settings: Mapping[str, Any], *, json_output: bool) -> None:
    """Send one request of each stage and show the results. Exits with 4 if a request fails."""
    settings = checked_settings(directory, settings)
    run = planned_run(directory, settings)
    run.config = impatient(run.config)
    accepted = run.state.accepted
    looks: list[_Look] = []
    failure: BackendError | None = None
    try:
        asyncio.run(_look(run, looks, quiet=json_output))
    except BackendError as error:
        failure = error
    replies = [step.completion for step, _ in looks if step.completion is not None]
    total = None
    if failure is None and run.config.num_instructions > accepted:
        # Estimate without the preview's requests, because the run will not contain them.
        total = estimate_of(planned_run(directory, settings), run.state.timeline)
    if json_output:
        fields = {
            "stages": [_stage_json(run, step, body) for step, body in looks],
            "estimate": total.as_json() if total is not None else None,
            "problem": str(failure) if failure is not None else None,
        }
        print_json(fields)
    elif failure is None:
        print_blocks([_end(replies, total)])
    if failure is not None:
        say(f"selfinstruct: {failure}", "Nothing was written.")
        raise typer.Exit(failure.exit_code)


def impatient(config: RunConfig) -> RunConfig:
    """Return the config with fewer attempts and a shorter wait, because a user waits for the replies."""
    return config.capped(max_attempts=_MAX_ATTEMPTS, give_up_after_s=_MAX_WAIT_S)


_Look = tuple[Step, Mapping[str, Any]]
"""A request, with its reply if the reply has arrived, and the request's body."""


async def _look(run: Run, looks: list[_Look], *, quiet: bool) -> None:
    """Send the preview's requests and append each to `looks`. Unless `quiet`, print parts as they arrive."""
    async with open_backend(run.config, environ=os.environ, on_wait=say_wait) as backend:
        async for step in preview(run, backend=backend):
            body = backend.body(step.request)
            if step.completion is None:
                looks.append((step, body))
                lines = _asked(run, step, body, len(looks))
            else:
                lines = _answered(step, step.completion, added=body.keys() - looks[-1][1].keys())
                looks[-1] = step, body
            if not quiet:
                print_blocks([lines])
            if step.completion is None and is_terminal(sys.stderr):
                say("waiting for the reply …")


def say_wait(problem: str, seconds: float) -> None:
    """Print that a request will be retried after a wait."""
    say(f"retrying in {seconds:.1f} s: {problem}")


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────


def _asked(run: Run, step: Step, body: Mapping[str, Any], number: int) -> Iterator[str]:
    request = step.request
    again = " (asked again)" if request.id.endswith("/again") else ""
    if number > 1:
        yield ""
    yield f"━━ {number}. {request.stage}: {_TITLES[request.stage]}{again} ".ljust(columns(), "━")
    yield from field("to", _address(run, request))
    yield from field("model", request.sampling.model)
    sent = {n: v for n, v in body.items() if n not in (*_PROMPT, "model")}
    shown = ", ".join(f"{n} {json.dumps(v, ensure_ascii=False)}" for n, v in sent.items())
    yield from field("parameters", shown or "none")
    if step.task is not None:
        yield from field("about", step.task.instruction)
        if step.task.origin == "seed":
            seed = f"(seed task {step.task.id}, because no instruction was accepted)"
            yield from field("", seed)
    for message in request.prompt.messages:
        yield from _framed(f"prompt, role {message.role}", message.content)
    if request.prompt.text is not None:
        yield from _framed("prompt, a text to continue", request.prompt.text)


def _answered(step: Step, completion: Completion, *, added: set[str]) -> Iterator[str]:
    """Yield the reply and its result. `added` are request fields that were added for this endpoint."""
    usage = completion.usage
    yield from _framed("reply", completion.text or "(empty)")
    finish = completion.finish_reason or "unknown"
    cut = {
        "length": " (truncated by max_tokens)",
        "content_filter": " (truncated by a content filter)",
    }
    yield from field("finish", finish + cut.get(finish, ""))
    tokens = "not reported by the endpoint"
    if usage:
        tokens = f"{usage.prompt_tokens:,} in the prompt, {usage.completion_tokens:,} in the reply"
    yield from field("tokens", tokens)
    tried = f", after {completion.attempts} attempts" if completion.attempts > 1 else ""
    yield from field("time", f"{completion.latency_s:.1f} s{tried}")
    if completion.model != step.request.sampling.model:
        yield from field("model", f"the endpoint reports {completion.model or '(nothing)'}")
    for name in sorted(added):
        yield from field("parameters", f"the endpoint requires {name}")
    yield ""
    yield from _result(step)


def _result(step: Step) -> Iterator[str]:
    if step.answer is not None:
        kinds = {None: "asked again", True: "a classification task: output first"}
        kind = kinds.get(step.is_classification, "not a classification task: input first")
        yield from field("parsed as", f"{step.answer} → {kind}")
        return
    accepted = sum(item.outcome == "accepted" for item in step.items)
    what = "instructions" if step.request.stage == "generate" else "instances"
    rejected = len(step.items) - accepted
    yield from field("parsed as", f"{accepted} {what} accepted, {rejected} rejected")
    for item in step.items:
        yield from _item(item, step.request.stage)


def _item(item: Item, stage: str) -> Iterator[str]:
    label = f"{'✓' if item.outcome == 'accepted' else '✗'} {item.number or 'all'}"
    if item.reason is not None:
        yield from field(label, f"rejected, {item.reason}: {item.meaning}")
        yield from field("", item.text or "(no text)")
        if (near := item.nearest) is not None:
            like = f"near {near.task_id}, ROUGE-L {near.rouge_l:.3f}: {near.instruction}"
            yield from field("", like)
        return
    if item.instance is None or stage == "generate":
        yield from field(label, item.text)
        label = ""
    if item.instance is not None:
        yield from field(label, item.instance.input or "(none)", inner="input   ")
        yield from field("", item.instance.output, inner="output  ")


def _end(replies: Sequence[Completion], total: Estimate | None) -> Iterator[str]:
    yield ""
    yield "━" * columns()
    usages = [completion.usage for completion in replies]
    spent = f", {sum(u.prompt_tokens + u.completion_tokens for u in usages if u):,} tokens"
    text = f"This took {counted(len(replies), 'request')}{spent if any(usages) else ''}."
    if total is not None:
        left, dollars = total.left.expected, total.left_usd
        costs = f", {money_range(dollars)}" if dollars is not None and dollars.high else ""
        text += (
            f" If all replies were like these, {total.target - total.accepted:,} instructions would take "
            f"about {about(left.requests)} requests, {about(left.prompt_tokens)} tokens in prompts and "
            f"{about(left.completion_tokens)} in replies{costs}. One reply is a small sample: "
            "`selfinstruct estimate --probe 10` takes a larger one."
        )
    yield from wrapped(text)
    yield "Nothing was written. To start the run, remove --preview."


def _framed(title: str, text: str) -> Iterator[str]:
    """Yield a whole text in a frame. A dashed bar marks the continuation of a wrapped line."""
    yield ""
    yield f"┌─ {title} ".ljust(columns(), "─")
    for line in visible(text).split("\n"):
        bar = "│"
        for part in parts(line, columns() - 2):
            yield f"{bar} {part}".rstrip()
            bar = "┊"
    yield "└".ljust(columns(), "─")


def _address(run: Run, request: Request) -> str:
    return address(run.config, environ=os.environ).rstrip("/") + api_path(request)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────


def _stage_json(run: Run, step: Step, body: Mapping[str, Any]) -> dict[str, Any]:
    request, task = step.request, step.task
    about = {"id": task.id, "instruction": task.instruction} if task is not None else None
    fields = {
        "stage": request.stage,
        "request_id": request.id,
        "address": _address(run, request),
        "template": request.prompt.template,
        "demonstration_ids": list(request.prompt.demonstration_ids),
        "body": body,
        "about": about,
        "reply": None,
    }
    if step.completion is None:
        return fields
    return fields | {
        "reply": asdict(step.completion),
        "answer": step.answer,
        "is_classification": step.is_classification,
        "items": [asdict(item) for item in step.items],
    }
