"""`selfinstruct run --preview`: one request of each stage and its reply, formatted for a terminal."""

import asyncio
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from selfinstruct.cli.expected_cost import about, money_range
from selfinstruct.cli.terminal import say
from selfinstruct.text import cells, visible

if TYPE_CHECKING:
    from selfinstruct.analysis.estimate import Estimate
    from selfinstruct.analysis.preview import Answered, Asked, Item
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.errors import BackendError
    from selfinstruct.records import Request
    from selfinstruct.runner.directory import Run

_MAX_ATTEMPTS = 3
_MAX_WAIT_S = 120.0
"""Longest wait for the endpoint while a user waits for the preview."""
_MAX_WIDTH = 100
_LABEL = 12
"""Columns of a label."""
_PROMPT = ("messages", "prompt")
"""Members of a request body that hold the prompt."""
_TITLES = {
    "generate": "new instructions",
    "classify": "is it a classification task?",
    "instances": "inputs and outputs",
}


def show_preview(directory: Path | None, settings: Mapping[str, Any], *, json_output: bool) -> None:
    """Send one request of each stage and show the results; exit with 4 if the endpoint gives up."""
    from selfinstruct.analysis.estimate import estimate_of
    from selfinstruct.config.address import for_a_new_run
    from selfinstruct.errors import BackendError
    from selfinstruct.llm.endpoint import client
    from selfinstruct.runner.directory import is_run, planned_run

    if directory is None or not is_run(directory):
        settings = for_a_new_run(settings, environ=os.environ, client=client)
    run = planned_run(directory, settings)
    run.config = impatient(run.config)
    missing = run.config.num_instructions - run.state.accepted
    looks: list[_Look] = []
    failure: BackendError | None = None
    try:
        asyncio.run(_look(run, looks, None if json_output else _Page(run)))
    except BackendError as error:
        failure = error
    answered = [look.answered for look in looks if look.answered is not None]
    total = None
    if failure is None and missing > 0:
        # The run does not contain the preview's requests.
        total = estimate_of(planned_run(directory, settings), run.state.timeline)
    if json_output:
        typer.echo(json.dumps(_as_json(run, looks, total, failure)))
    elif failure is None:
        typer.echo("\n".join(_Page(run).end(answered, total, missing)))
    if failure is not None:
        say(f"selfinstruct: {failure}", "Nothing was written.")
        raise typer.Exit(failure.exit_code)


def impatient(config: "RunConfig") -> "RunConfig":
    """Return the settings with fewer attempts and a shorter wait, for a user who waits for the replies."""
    return config.changed(
        max_attempts=min(config.max_attempts, _MAX_ATTEMPTS),
        give_up_after_s=min(config.give_up_after_s, _MAX_WAIT_S),
    )


class _Look:
    """A request, its body, and its reply after it has arrived."""

    def __init__(self, asked: "Asked", body: dict[str, Any]) -> None:
        self.asked = asked
        self.body = body
        self.answered: Answered | None = None


async def _look(run: "Run", looks: list[_Look], page: "_Page | None") -> None:
    """Fill `looks` and show each part on the page as soon as it is known."""
    from selfinstruct.analysis.preview import Asked, preview
    from selfinstruct.llm.online import OnlineBackend

    def show(lines: Iterator[str]) -> None:
        if page is not None:
            typer.echo("\n".join(lines))

    async with OnlineBackend(run.config, environ=os.environ, on_wait=say_wait) as backend:
        async for step in preview(run, backend=backend):
            if isinstance(step, Asked):
                looks.append(_Look(step, backend.body(step.request)))
                if page is not None:
                    show(page.asked(step, looks[-1].body, len(looks)))
                if sys.stderr.isatty():
                    say("waiting for the reply …")
            else:
                look = looks[-1]
                before, look.body = look.body, backend.body(step.request)
                look.answered = step
                if page is not None:
                    show(page.answered(step, changed_members=look.body.keys() - before.keys()))


def say_wait(problem: str, seconds: float) -> None:
    """Report that a request is sent again after a pause."""
    say(f"trying again in {seconds:.1f} s: {problem}")


class _Page:
    """The lines of a preview; terminal control characters are escaped."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._width = max(40, min(_MAX_WIDTH, shutil.get_terminal_size().columns))

    def asked(self, step: "Asked", body: Mapping[str, Any], number: int) -> Iterator[str]:
        request = step.request
        head = f"{number}. {request.stage}: {_TITLES[request.stage]}"
        again = " (asked again)" if request.id.endswith("/again") else ""
        if number > 1:
            yield ""
        yield f"━━ {head}{again} ".ljust(self._width, "━")
        yield from self._field("to", _address(self._run, request))
        yield from self._field("model", request.sampling.model)
        sent = {n: v for n, v in body.items() if n not in (*_PROMPT, "model")}
        shown = ", ".join(f"{n} {json.dumps(v, ensure_ascii=False)}" for n, v in sent.items())
        yield from self._field("parameters", shown or "none")
        if step.task is not None:
            yield from self._field("about", step.task.instruction)
            if step.task.origin == "seed":
                yield from self._field(
                    "", f"(the seed task {step.task.id}, because no instruction was accepted)"
                )
        for message in request.prompt.messages:
            yield from self._framed(f"prompt, role {message.role}", message.content)
        if request.prompt.text is not None:
            yield from self._framed("prompt, a text to continue", request.prompt.text)

    def answered(self, step: "Answered", *, changed_members: set[str]) -> Iterator[str]:
        completion = step.completion
        yield from self._framed("reply", completion.text, if_empty="(empty)")
        finish = completion.finish_reason or "unknown"
        cut = {"length": " (cut by max_tokens)", "content_filter": " (cut by a filter)"}
        yield from self._field("finish", finish + cut.get(finish, ""))
        usage = completion.usage
        tokens = (
            f"{usage.prompt_tokens:,} in the prompt, {usage.completion_tokens:,} in the reply"
            if usage
            else "the endpoint reports none"
        )
        yield from self._field("tokens", tokens)
        tried = f", after {completion.attempts} attempts" if completion.attempts > 1 else ""
        yield from self._field("time", f"{completion.latency_s:.1f} s{tried}")
        if completion.model != step.request.sampling.model:
            yield from self._field(
                "model", f"the endpoint reports {completion.model or '(nothing)'}"
            )
        for name in sorted(changed_members):
            yield from self._field("parameters", f"the endpoint requires {name}")
        yield ""
        yield from self._result(step)

    def _result(self, step: "Answered") -> Iterator[str]:
        if step.answer is not None:
            kinds = {None: "asked again", True: "a classification task: output first"}
            kind = kinds.get(step.is_classification, "not a classification task: input first")
            yield from self._field("parsed as", f"{step.answer} → {kind}")
            return
        accepted = sum(item.outcome == "accepted" for item in step.items)
        what = "instructions" if step.request.stage == "generate" else "instances"
        yield from self._field(
            "parsed as", f"{accepted} {what} accepted, {len(step.items) - accepted} rejected"
        )
        for item in step.items:
            yield from self._item(item, step.request.stage)

    def _item(self, item: "Item", stage: str) -> Iterator[str]:
        mark = "✓" if item.outcome == "accepted" else "✗"
        label = f"{mark} {item.number}" if item.number else f"{mark} all"
        if item.reason is not None:
            yield from self._field(label, f"rejected, {item.reason}: {item.meaning}")
            yield from self._field("", item.text or "(no text)")
            if item.nearest is not None:
                like = f"near {item.nearest.task_id}, ROUGE-L {item.nearest.rouge_l:.3f}"
                yield from self._field("", f"{like}: {item.nearest.instruction}")
        elif item.instance is not None:
            if stage == "generate":  # an instruction with its instance
                yield from self._field(label, item.text)
                label = ""
            yield from self._field(label, item.instance.input or "(none)", inner="input")
            yield from self._field("", item.instance.output, inner="output")
        else:
            yield from self._field(label, item.text)

    def end(
        self, answered: "Sequence[Answered]", total: "Estimate | None", missing: int
    ) -> Iterator[str]:
        yield ""
        yield "━" * self._width
        usages = [step.completion.usage for step in answered]
        requests = "1 request" if len(answered) == 1 else f"{len(answered)} requests"
        spent = f", {sum(u.prompt_tokens + u.completion_tokens for u in usages if u):,} tokens"
        text = f"This took {requests}{spent if any(usages) else ''}."
        if total is not None:
            left, dollars = total.left.expected, total.left_usd
            costs = f", {money_range(dollars)}" if dollars is not None and dollars.high else ""
            text += (
                f" If all replies were like these, {missing:,} instructions would take about "
                f"{about(left.requests)} requests, {about(left.prompt_tokens)} tokens in prompts and "
                f"{about(left.completion_tokens)} in replies{costs}. One reply is a small sample: "
                "`selfinstruct estimate --probe 10` takes a larger one."
            )
        yield from self._wrapped(text)
        yield "Nothing was written. To start the run, remove --preview."

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────

    def _framed(self, title: str, text: str, *, if_empty: str = "") -> Iterator[str]:
        """Yield a whole text in a frame; another bar marks a wrapped line."""
        yield ""
        yield f"┌─ {title} ".ljust(self._width, "─")
        for line in visible(text or if_empty).split("\n"):
            bar = "│"
            for part in _parts(line, self._width - 2):
                yield f"{bar} {part}".rstrip()
                bar = "┊"
        yield "└".ljust(self._width, "─")

    def _field(self, label: str, text: str, *, inner: str = "") -> Iterator[str]:
        inner = f"{inner:<8}" if inner else ""
        for line in visible(text).split("\n"):
            for part in _parts(line, self._width - 2 - _LABEL - len(inner)):
                yield f"  {label:<{_LABEL}}{inner}{part}".rstrip()
                label, inner = "", " " * len(inner)

    def _wrapped(self, text: str) -> list[str]:
        return textwrap.wrap(text, self._width)


def _parts(line: str, width: int) -> list[str]:
    """Split a line into parts that fit the width, at spaces if possible."""
    room = max(1, width * len(line) // max(1, cells(line)))
    return textwrap.wrap(line, room, break_on_hyphens=False, replace_whitespace=False) or [""]


def _address(run: "Run", request: "Request") -> str:
    from selfinstruct.config.address import address
    from selfinstruct.llm.request_body import api_path

    return address(run.config, environ=os.environ).rstrip("/") + api_path(request)


def _as_json(
    run: "Run",
    looks: Sequence[_Look],
    total: "Estimate | None",
    failure: "BackendError | None",
) -> dict[str, Any]:
    from dataclasses import asdict

    def stage(look: _Look) -> dict[str, Any]:
        request, answered = look.asked.request, look.answered
        fields = {
            "stage": request.stage,
            "request_id": request.id,
            "address": _address(run, request),
            "template": request.prompt.template,
            "demonstration_ids": list(request.prompt.demonstration_ids),
            "body": look.body,
            "about": {"id": task.id, "instruction": task.instruction}
            if (task := look.asked.task) is not None
            else None,
            "reply": None,
        }
        if answered is None:
            return fields
        return fields | {
            "reply": asdict(answered.completion),
            "answer": answered.answer,
            "is_classification": answered.is_classification,
            "items": [asdict(item) for item in answered.items],
        }

    return {
        "stages": [stage(look) for look in looks],
        "estimate": total.as_json() if total is not None else None,
        "problem": str(failure) if failure is not None else None,
    }
