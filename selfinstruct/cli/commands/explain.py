"""`selfinstruct explain`: what became of a text or an id, and why."""

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
        CandidateFate,
        Explanation,
        Fate,
        ImportedFate,
        InstanceFate,
        Near,
        Outlook,
        Passage,
        RequestFate,
        SeedFate,
        TaskFate,
    )
    from selfinstruct.records import Instance

_USUAL_LIMIT = 10
_FIRST_IDS = 3
"""Replies named of those that a text stands in."""
_LABEL = 13
"""Columns of a label."""
_LINE = 80
"""Characters shown of a text that is not what was asked about."""


def explain(
    directory: DirectoryArgument,
    query: Annotated[
        str,
        typer.Argument(
            help="A task, candidate or request id, or a text.",
            metavar="TEXT|ID",
            show_default=False,
        ),
    ],
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many to tell of what was found.",
            show_default="10; with --json all",
        ),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Show what became of a candidate and why: of an id, or of any text that the model wrote.

    A text that is nowhere in the run is judged as a candidate would be now; the exit code is then 1.

    Example: selfinstruct explain my-run 'generate/000001#7'
    """
    from selfinstruct.analysis.explain import explain as look_up
    from selfinstruct.analysis.explain.lookup import History
    from selfinstruct.runner.directory import read_history

    history = History(*read_history(directory), shown=visible)
    try:
        usual = None if json_output else _USUAL_LIMIT
        explanation = look_up(history, query, limit=usual if limit is None else limit)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="TEXT|ID") from None
    threshold, is_asked = history.run.config.threshold, history.run.state.source is None
    if json_output:
        import json
        from dataclasses import asdict

        fields = {"directory": str(directory), "threshold": threshold}
        typer.echo(json.dumps(fields | asdict(explanation)))
    else:
        width = min(100, shutil.get_terminal_size().columns)
        typer.echo(
            "\n".join(_Page(directory, threshold, width, is_asked=is_asked).lines(explanation))
        )
    if not explanation.total:
        raise typer.Exit(1)


class _Page:
    """An explanation as a person reads it; what could drive the terminal is written out."""

    def __init__(
        self, directory: Path, threshold: float, width: int, *, is_asked: bool = True
    ) -> None:
        """`is_asked`: whether the model is still asked for what is not known of a task."""
        self._directory = directory
        self._open = "not asked for yet" if is_asked else "never asked for"
        self._threshold = threshold
        self._width = width

    def lines(self, explanation: "Explanation") -> list[str]:
        told: list[str] = []
        if explanation.how == "none":
            is_id = explanation.outlook is None
            nowhere = ": there is no such id in this run." if is_id else " is nowhere in this run."
            told.append(self._quoted(explanation.query) + nowhere)
        elif explanation.how == "reply":
            where = "1 reply" if explanation.total == 1 else f"{explanation.total:,} replies"
            told.append(f"Found in {where}, and not as the text of a task or an instance:")
        elif explanation.total > 1:
            place = "is" if explanation.how == "exact" else "stands in"
            told.append(f"This {place} the text of {explanation.total:,} items:")
        brief = explanation.total > 1
        for fate in explanation.found:
            told += [*([""] if told else []), *self._fate(fate, brief=brief)]
        if len(explanation.found) < explanation.total:
            more = explanation.total - len(explanation.found)
            told += ["", f"and {more:,} more; --limit {explanation.total} tells all."]
        told += self._elsewhere(explanation)
        if explanation.outlook is not None:
            told += ["", *self._outlook(explanation.outlook)]
        if explanation.note:
            told += ["", *self._wrapped(explanation.note, indent=0)]
        return told

    def _elsewhere(self, explanation: "Explanation") -> list[str]:
        """Where else a text stands that was found as that of an item, or inside of one."""
        if explanation.how not in ("exact", "part"):
            return []
        told = [""]
        if explanation.partial:
            told += self._wrapped(
                f"It is also a part of the text of {counted(explanation.partial, 'more item')}; "
                "a longer or shorter text finds them.",
                indent=0,
            )
        names = explanation.in_replies
        first = ", ".join(names[:_FIRST_IDS]) + (", …" if len(names) > _FIRST_IDS else "")
        where = (
            f"1 raw reply: {first}" if len(names) == 1 else f"{len(names):,} raw replies: {first}"
        )
        said = f"It stands in {where}." if names else "It stands in no raw reply as it is."
        return told + self._wrapped(said, indent=0)

    def _fate(self, fate: "Fate", *, brief: bool) -> Iterator[str]:
        match fate.kind:
            case "candidate":
                return self._candidate(fate)
            case "instance":
                return self._instance(fate)
            case "task":
                return self._task(fate, brief=brief)
            case "imported task":
                return self._imported(fate, brief=brief)
            case "seed task":
                return self._seed(fate)
            case "request":
                return self._request(fate)
            case "passage":
                return self._passage(fate)

    def _candidate(self, fate: "CandidateFate") -> Iterator[str]:
        yield f"{visible(fate.id, keep='')}: {_verdict(fate)}"
        yield from self._field("text", fate.text or "(none)")
        yield from self._origin(fate)

    def _origin(self, fate: "CandidateFate") -> Iterator[str]:
        """Why it was decided so, what it is like, and where it comes from."""
        if fate.reason is not None:
            yield from self._field("why", f"{fate.meaning} (stage {fate.stage})")
        if fate.witness is not None:
            yield from self._near("witness", fate.witness)
        if fate.nearest is not None:
            is_witness = fate.witness is not None and fate.witness.task_id == fate.nearest.task_id
            if is_witness:
                yield from self._field(
                    "nearest", "the witness; nothing in the pool was nearer then"
                )
            else:
                yield from self._near("nearest", fate.nearest)
        elif fate.ordinal:
            yield from self._field("nearest", "nothing: it has no word that ROUGE-L compares")
        place = f"item {fate.ordinal} of {fate.items} in" if fate.ordinal else "all of"
        yield from self._field(
            "from",
            f"{place} the reply to {fate.request_id} by {fate.model} "
            f"(line {fate.received:,} of the journal, decided in line {fate.decided:,})",
        )

    def _task(self, fate: "TaskFate", *, brief: bool) -> Iterator[str]:
        yield visible(f"{fate.id}: accepted from {fate.candidate.id}", keep="")
        yield from self._field("instruction", fate.instruction)
        yield from self._origin(fate.candidate)
        if brief:
            is_open = fate.instances is None
            kept = self._open if is_open else counted(len(fate.instances or ()), "instance")
            yield from self._field("instances", kept)
            return
        label = "prompt"
        for task_id, instruction in fate.demonstrations:
            yield self._one_line(label, f"{task_id}  {_unbroken(instruction)}")
            label = ""
        yield from self._kind(fate)
        yield from self._instances(fate)

    def _instances(self, fate: "TaskFate | ImportedFate") -> Iterator[str]:
        if fate.instances is None:
            yield from self._field("instances", self._open)
        else:
            rejected = f", {len(fate.rejected)} rejected" if fate.rejected else ""
            yield from self._field("instances", counted(len(fate.instances), "instance") + rejected)
        for instance in fate.instances or ():
            yield from self._pair(instance)
        for item in fate.rejected:
            yield from self._field("rejected", f"{item.reason}: {item.meaning}")
            yield from self._field("", item.text or "(none)")

    def _imported(self, fate: "ImportedFate", *, brief: bool) -> Iterator[str]:
        yield visible(f"{fate.id}: imported from {fate.place}", keep="")
        yield from self._field("instruction", fate.instruction)
        by = f"{fate.model}, " if fate.model else ""
        yield from self._field("from", f"{by}line {fate.line:,} of the journal")
        if brief:
            is_open = fate.instances is None
            kept = self._open if is_open else counted(len(fate.instances or ()), "instance")
            yield from self._field("instances", kept)
            return
        yield from self._field("shown in", counted(fate.shown, "answered prompt"))
        against = counted(fate.witness_against, "rejected candidate")
        yield from self._field("witness", f"against {against}")
        if fate.answers:
            yield from self._kind(fate)
        else:
            kinds = {None: "not known", True: "a classification task"}
            said = f"; the answer that was imported is {fate.said}" if fate.said else ""
            kind = kinds.get(fate.is_classification, "no classification task")
            yield from self._field("kind", kind + said)
        yield from self._instances(fate)

    def _kind(self, fate: "TaskFate | ImportedFate") -> Iterator[str]:
        if not fate.answers:
            if fate.kind == "task" and fate.candidate.task_id and fate.instances is None:
                yield from self._field("kind", self._open)
            return
        kind = {None: "asked for once more", True: "a classification task"}.get(
            fate.is_classification, "no classification task"
        )
        said = ", then ".join(
            given.answer
            if given.text.strip(" .\n").lower() == given.answer
            else f"{given.answer} (“{_short(given.text)}”)"
            for given in fate.answers
        )
        yield from self._field("kind", f"{kind}; the model said {said}")

    def _pair(self, instance: "Instance") -> Iterator[str]:
        yield from self._field("  input", instance.input or "(none)")
        yield from self._field("  output", instance.output)

    def _instance(self, fate: "InstanceFate") -> Iterator[str]:
        yield f"{visible(fate.id, keep='')}: {_verdict(fate)}"
        if fate.instance is not None:
            yield from self._field("input", fate.instance.input or "(none)")
            yield from self._field("output", fate.instance.output)
        else:
            yield from self._field("text", fate.text or "(none)")
            yield from self._field("why", fate.meaning)
        yield self._one_line("task", f"{fate.task_id}  {_unbroken(fate.instruction)}")
        if fate.place:
            where = f"a task imported from {fate.place} (line {fate.decided:,} of the journal)"
            yield from self._field("from", where)
            return
        yield from self._field(
            "from", f"line {fate.received:,} of the journal, decided in line {fate.decided:,}"
        )

    def _seed(self, fate: "SeedFate") -> Iterator[str]:
        kind = "a classification task" if fate.is_classification else "no classification task"
        yield f"{visible(fate.id, keep='')}: a seed task, {kind}, with {counted(fate.instances, 'instance')}"
        yield from self._field("instruction", fate.instruction)
        yield from self._field("shown in", counted(fate.shown, "answered prompt"))
        against = counted(fate.witness_against, "rejected candidate")
        yield from self._field("witness", f"against {against}")

    def _request(self, fate: "RequestFate") -> Iterator[str]:
        by = f" by {visible(fate.model, keep='')}" if fate.model else ""
        yield f"{visible(fate.id, keep='')}: {'answered' + by if by else 'refused'}"
        if fate.problem:
            yield from self._field("note", fate.problem)
        if fate.finish_reason not in (None, "stop"):
            yield from self._field("ended by", str(fate.finish_reason))
        if fate.demonstrations:
            yield from self._field("prompt", "showed " + ", ".join(fate.demonstrations))
        yield from self._items(fate)
        if by:
            yield from self._field("reply", fate.text or "(empty)")

    def _passage(self, fate: "Passage") -> Iterator[str]:
        yield f"{visible(fate.request_id, keep='')}: line {fate.line:,} of the reply"
        yield from self._field("text", fate.excerpt)
        yield from self._items(fate)
        if fate.problem:
            yield from self._field("note", fate.problem)
        elif not fate.items and fate.answer is None:
            yield from self._field("why", "No item that was found in the reply has this text.")
        command = f"selfinstruct explain {shlex.quote(str(self._directory))} {fate.request_id}"
        # In one line, however long, so that it can be copied.
        yield f"  {'all of it':<{_LABEL}}{visible(command, keep='')}"

    def _items(self, fate: "RequestFate | Passage") -> Iterator[str]:
        if fate.answer is not None:
            yield from self._field("read as", fate.answer)
        label = "items"
        for item in fate.items:
            number = item.id.rpartition("#")[2]
            yield self._one_line(label, f"#{number} {_verdict(item)}: {_unbroken(item.text)}")
            label = ""
            if item.kind == "candidate" and item.nearest is not None and item.nearest.rouge_l:
                like = score(item.nearest.rouge_l, self._threshold)
                yield self._one_line("", f"   nearest {item.nearest.task_id}, ROUGE-L {like}")

    def _outlook(self, outlook: "Outlook") -> Iterator[str]:
        from selfinstruct.analysis.explain.results import MEANING

        if outlook.reasons:
            yield f"As a candidate now it would be rejected: {outlook.reasons[0]}"
        else:
            yield "As a candidate now it would be accepted."
        for reason in outlook.reasons:
            yield from self._field(reason, MEANING[reason])
        if outlook.nearest is not None:
            yield from self._near("nearest", outlook.nearest)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────

    def _near(self, label: str, near: "Near") -> Iterator[str]:
        if near.rouge_l == 0:
            yield from self._field(label, "nothing: no task of the pool shares a word with it")
            return
        same = ", accepted just before from the same reply" if near.in_same_reply else ""
        yield from self._field(
            label, f"{near.task_id}, ROUGE-L {score(near.rouge_l, self._threshold)}{same}"
        )
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
            # Not at hyphens: what is copied from here is to be found again.
            for part in textwrap.wrap(
                line, room * len(line) // max(1, cells(line)) or 1, break_on_hyphens=False
            )
            or [""]
        ]
        return [(" " * indent + line).rstrip() for line in lines]

    def _quoted(self, query: str) -> str:
        return f"“{visible(_short(query), keep='')}”"


def _verdict(fate: "CandidateFate | InstanceFate") -> str:
    if fate.reason is not None:
        return f"rejected, {fate.reason}"
    if fate.kind == "candidate":
        return f"accepted as {fate.task_id}"
    return "kept"


def _unbroken(text: str) -> str:
    return " ".join(text.split())


def _short(text: str) -> str:
    """The beginning of a text, in one line."""
    line = _unbroken(text)
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"
