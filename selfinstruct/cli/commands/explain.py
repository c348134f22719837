"""`selfinstruct explain`: the outcome of a text or an id, and the reason."""

import shlex
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption
from selfinstruct.text import cells, counted, one_line, score, visible

if TYPE_CHECKING:
    from selfinstruct.analysis.explain.results import (
        CandidateResult,
        Excerpt,
        Explanation,
        InstanceResult,
        Near,
        NewCandidate,
        RequestResult,
        Result,
        TaskResult,
    )

_DEFAULT_LIMIT = 10
_FIRST_IDS = 3
"""Ids shown of the replies that contain a text."""
_LABEL = 13
"""Columns of a label."""
_LINE = 80
"""Characters shown of a secondary text."""


def explain(
    directory: DirectoryArgument,
    query: Annotated[
        str, typer.Argument(help="A task, candidate or request id, or a text.", metavar="TEXT|ID")
    ],
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Maximum number of matches to show.",
            show_default="10; with --json all",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Show the outcome of a candidate and its reason, by id or by any text that the model wrote.

    A text without a match is checked like the next candidate; the exit code is then 1.

    Example: selfinstruct explain my-run 'generate/000001#7'
    """
    from selfinstruct.analysis.explain import explain as look_up
    from selfinstruct.analysis.explain.lookup import History
    from selfinstruct.runner.directory import read_history

    history = History(*read_history(directory), shown=visible)
    try:
        default = None if json_output else _DEFAULT_LIMIT
        explanation = look_up(history, query, limit=default if limit is None else limit)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="TEXT|ID") from None
    threshold, is_continued = history.run.config.threshold, history.run.state.source is None
    if json_output:
        import json
        from dataclasses import asdict

        fields = {"directory": str(directory), "threshold": threshold}
        typer.echo(json.dumps(fields | asdict(explanation)))
    else:
        width = min(100, shutil.get_terminal_size().columns)
        page = _Page(directory, threshold, width, is_continued=is_continued)
        typer.echo("\n".join(page.lines(explanation)))
    if not explanation.total:
        raise typer.Exit(1)


class _Page:
    """The lines of an explanation; terminal control characters are escaped."""

    def __init__(
        self, directory: Path, threshold: float, width: int, *, is_continued: bool = True
    ) -> None:
        """`is_continued`: whether the run can still send requests for open tasks."""
        self._directory = directory
        self._open = "not requested yet" if is_continued else "never requested"
        self._threshold = threshold
        self._width = width

    def lines(self, explanation: "Explanation") -> list[str]:
        lines: list[str] = []
        if explanation.how == "none":
            is_id = explanation.as_candidate is None
            missing = ": there is no such id in this run." if is_id else " is nowhere in this run."
            lines.append(f"“{visible(_short(explanation.query), keep='')}”{missing}")
        elif explanation.how == "reply":
            where = "1 reply" if explanation.total == 1 else f"{explanation.total:,} replies"
            lines.append(f"Found in {where}, but not as the text of a task or an instance:")
        elif explanation.total > 1:
            which = "have" if explanation.how == "exact" else "contain"
            lines.append(f"{explanation.total:,} items {which} this text:")
        for result in explanation.found:
            lines += [*([""] if lines else []), *self._result(result, brief=explanation.total > 1)]
        if len(explanation.found) < explanation.total:
            more = explanation.total - len(explanation.found)
            lines += ["", f"{more:,} more; --limit {explanation.total} shows all."]
        if explanation.how in ("exact", "part"):
            lines += ["", *self._wrapped(_elsewhere(explanation), indent=0)]
        if explanation.as_candidate is not None:
            lines += ["", *self._new_candidate(explanation.as_candidate)]
        if explanation.note:
            lines += ["", *self._wrapped(explanation.note, indent=0)]
        return lines

    def _result(self, result: "Result", *, brief: bool) -> Iterator[str]:
        match result.kind:
            case "candidate":
                return self._candidate(result)
            case "instance":
                return self._instance(result)
            case "request":
                return self._request(result)
            case "excerpt":
                return self._excerpt(result)
            case _:
                return self._task(result, brief=brief)

    def _candidate(self, result: "CandidateResult") -> Iterator[str]:
        yield f"{visible(result.id, keep='')}: {_outcome(result)}"
        yield from self._field("text", result.text or "(none)")
        yield from self._origin(result)

    def _origin(self, result: "CandidateResult") -> Iterator[str]:
        """Yield the reason, the similar tasks and the reply of a candidate."""
        near, witness = result.nearest, result.witness
        if result.reason is not None:
            yield from self._field("why", f"{result.meaning} (stage {result.stage})")
        if witness is not None:
            yield from self._near("witness", witness)
        if near is not None and witness is not None and near.task_id == witness.task_id:
            yield from self._field("nearest", "the witness")
        elif near is not None:
            yield from self._near("nearest", near)
        elif result.ordinal:
            yield from self._field("nearest", "none: the text has no token that ROUGE-L compares")
        place = f"item {result.ordinal} of {result.items} in" if result.ordinal else "all of"
        yield from self._field(
            "from",
            f"{place} the reply to {result.request_id} by {result.model} "
            f"(line {result.received:,} of the journal, decided in line {result.decided:,})",
        )

    def _task(self, result: "TaskResult", *, brief: bool) -> Iterator[str]:
        if result.candidate is not None:
            yield visible(f"{result.id}: accepted from {result.candidate.id}", keep="")
        else:
            source = f"imported from {result.place}" if result.place else "seed task"
            yield visible(f"{result.id}: {source}", keep="")
        yield from self._field("instruction", result.instruction)
        if result.candidate is not None:
            yield from self._origin(result.candidate)
        elif result.line:
            by = f"{result.model}, " if result.model else ""
            yield from self._field("from", f"{by}line {result.line:,} of the journal")
        if not brief:
            label = "prompt"
            for task_id, instruction in result.demonstrations:
                yield self._one_line(label, f"{task_id}  {_unbroken(instruction)}")
                label = ""
            yield from self._field("kind", self._kind(result))
            yield from self._field("shown in", counted(result.shown, "answered prompt"))
            against = counted(result.witness_against, "rejected candidate")
            yield from self._field("witness", f"against {against}")
        if result.instances is None:
            yield from self._field("instances", self._open)
        else:
            rejected = f", {len(result.rejected)} rejected" if result.rejected else ""
            count = counted(len(result.instances), "instance")
            yield from self._field("instances", count + rejected)
        if not brief:
            for instance in result.instances or ():
                yield from self._field("  input", instance.input or "(none)")
                yield from self._field("  output", instance.output)
            for item in result.rejected:
                yield from self._field("rejected", f"{item.reason}: {item.meaning}")
                yield from self._field("", item.text or "(none)")

    def _kind(self, result: "TaskResult") -> str:
        unknown = "not known" if result.instances is not None else self._open
        if result.answers:
            unknown = "asked again"
        kind = {None: unknown, True: "a classification task"}.get(
            result.is_classification, "not a classification task"
        )
        answers = [
            answer.answer
            if answer.text.strip(" .\n").lower() == answer.answer
            else f"{answer.answer} (“{_short(answer.text)}”)"
            for answer in result.answers
        ]
        if result.imported_answer is not None:
            answers.insert(0, f"{result.imported_answer} (imported)")
        return f"{kind}; answers: {', '.join(answers)}" if answers else kind

    def _instance(self, result: "InstanceResult") -> Iterator[str]:
        yield f"{visible(result.id, keep='')}: {_outcome(result)}"
        if result.instance is not None:
            yield from self._field("input", result.instance.input or "(none)")
            yield from self._field("output", result.instance.output)
        else:
            yield from self._field("text", result.text or "(none)")
            yield from self._field("why", result.meaning)
        yield self._one_line("task", f"{result.task_id}  {_unbroken(result.instruction)}")
        source = f"line {result.received:,} of the journal, decided in line {result.decided:,}"
        if result.place:
            source = f"{result.place} (line {result.decided:,} of the journal)"
        yield from self._field("from", source)

    def _request(self, result: "RequestResult") -> Iterator[str]:
        by = f" by {visible(result.model, keep='')}" if result.model else ""
        yield f"{visible(result.id, keep='')}: {'answered' + by if by else 'failed'}"
        if result.problem:
            yield from self._field("note", result.problem)
        if result.finish_reason not in (None, "stop"):
            yield from self._field("ended by", str(result.finish_reason))
        if result.demonstrations:
            yield from self._field("prompt", "showed " + ", ".join(result.demonstrations))
        yield from self._items(result)
        if by:
            yield from self._field("reply", result.text or "(empty)")

    def _excerpt(self, result: "Excerpt") -> Iterator[str]:
        yield f"{visible(result.request_id, keep='')}: line {result.line:,} of the reply"
        yield from self._field("text", result.text)
        yield from self._items(result)
        if result.problem:
            yield from self._field("note", result.problem)
        elif not result.items and result.answer is None:
            yield from self._field("why", "No item of the reply has this text.")
        command = f"selfinstruct explain {shlex.quote(str(self._directory))} {result.request_id}"
        # Not wrapped, so that it can be copied.
        yield f"  {'whole reply':<{_LABEL}}{visible(command, keep='')}"

    def _items(self, result: "RequestResult | Excerpt") -> Iterator[str]:
        if result.answer is not None:
            yield from self._field("parsed as", result.answer)
        label = "items"
        for item in result.items:
            number = item.id.rpartition("#")[2]
            yield self._one_line(label, f"#{number} {_outcome(item)}: {_unbroken(item.text)}")
            label = ""
            if item.kind == "candidate" and item.nearest is not None and item.nearest.rouge_l:
                like = score(item.nearest.rouge_l, self._threshold)
                yield self._one_line("", f"   nearest {item.nearest.task_id}, ROUGE-L {like}")

    def _new_candidate(self, new: "NewCandidate") -> Iterator[str]:
        from selfinstruct.records.reasons import MEANING

        outcome = f"rejected: {new.reasons[0]}" if new.reasons else "accepted."
        yield f"As the next candidate it would be {outcome}"
        for reason in new.reasons:
            yield from self._field(reason, MEANING[reason])
        if new.nearest is not None:
            yield from self._near("nearest", new.nearest)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────

    def _near(self, label: str, near: "Near") -> Iterator[str]:
        if near.rouge_l == 0:
            yield from self._field(label, "none: no task of the pool shares a word with the text")
            return
        same = ", accepted just before from the same reply" if near.in_same_reply else ""
        like = score(near.rouge_l, self._threshold)
        yield from self._field(label, f"{near.task_id}, ROUGE-L {like}{same}")
        yield from self._field("", near.instruction)

    def _field(self, label: str, text: str) -> Iterator[str]:
        if len(label) > _LABEL - 1:
            yield "  " + label
            label = ""
        wrapped = self._wrapped(text, indent=2 + _LABEL)
        yield f"  {label:<{_LABEL}}{wrapped[0].strip()}".rstrip()
        yield from wrapped[1:]

    def _one_line(self, label: str, text: str) -> str:
        return f"  {label:<{_LABEL}}{one_line(text, self._width - 2 - _LABEL)}"

    def _wrapped(self, text: str, *, indent: int) -> list[str]:
        room = max(20, self._width - indent)
        lines = [
            part
            for line in visible(text).strip("\n").split("\n")
            # Not at hyphens: a copied text must match again.
            for part in textwrap.wrap(
                line, room * len(line) // max(1, cells(line)) or 1, break_on_hyphens=False
            )
            or [""]
        ]
        return [(" " * indent + line).rstrip() for line in lines]


def _elsewhere(explanation: "Explanation") -> str:
    """Return where else the run contains a text that items have or contain."""
    names = explanation.in_replies
    first = ", ".join(names[:_FIRST_IDS]) + (", …" if len(names) > _FIRST_IDS else "")
    replies = "1 raw reply" if len(names) == 1 else f"{len(names):,} raw replies"
    where = f"The text is in {replies}: {first}." if names else "No raw reply contains the text."
    if not explanation.partial:
        return where
    more = counted(explanation.partial, "further item")
    return f"The text is also a part of {more}; a longer or shorter text finds them. {where}"


def _outcome(result: "CandidateResult | InstanceResult") -> str:
    if result.reason is not None:
        return f"rejected, {result.reason}"
    return f"accepted as {result.task_id}" if result.kind == "candidate" else "kept"


def _unbroken(text: str) -> str:
    return " ".join(text.split())


def _short(text: str) -> str:
    """Return the beginning of a text in one line."""
    line = _unbroken(text)
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
