"""`selfinstruct explain`: show what happened to a text or an id, and why."""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli.options import DirectoryArgument, JsonOption
from selfinstruct.cli.output import print_json
from selfinstruct.cli.text_layout import LABEL, field, labelled, print_blocks, wrapped
from selfinstruct.display import counted, one_line, score, unbroken, visible

if TYPE_CHECKING:
    from selfinstruct.analysis.explain import results

_DEFAULT_LIMIT = 10
_FIRST_IDS = 3
"""Number of ids to show from the replies that contain a text."""
_LINE = 80
"""Number of characters to show from a secondary text."""


def explain(
    directory: DirectoryArgument,
    query: Annotated[
        str,
        typer.Argument(
            help="A text, or the id of a task, candidate, instance or request.", metavar="TEXT|ID"
        ),
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
    """Show what happened to a candidate and why. Search by id, or by any text that the model wrote.

    If a text has no match, it is checked as if it were the next candidate, and the exit code is 1.

    Example: selfinstruct explain my-run 'generate/000001#7'
    """
    from dataclasses import asdict

    from selfinstruct.analysis.explain import explain as look_up
    from selfinstruct.analysis.explain.history import History
    from selfinstruct.runner.directory import read_history

    history = History(*read_history(directory), shown=visible)
    try:
        most = _DEFAULT_LIMIT if limit is None and not json_output else limit
        explanation = look_up(history, query, limit=most)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="TEXT|ID") from None
    threshold = history.run.config.threshold
    if json_output:
        fields = {"directory": str(directory), "threshold": threshold}
        print_json(fields | asdict(explanation))
    else:
        is_continued = history.run.state.source is None
        page = _Page(directory, threshold, is_continued=is_continued)
        print_blocks(page.blocks(explanation))
    if not explanation.total:
        raise typer.Exit(1)


class _Page:
    """Formats an explanation as blocks of lines. Terminal control characters are escaped."""

    def __init__(self, directory: Path, threshold: float, *, is_continued: bool) -> None:
        """Prepare to format. `is_continued` says whether the run can still send requests about open tasks."""
        self._directory = directory
        self._open = "not requested yet" if is_continued else "never requested"
        self._threshold = threshold

    def blocks(self, explanation: "results.Explanation") -> Iterator[Iterable[str]]:
        is_brief = explanation.total > 1
        if head := _head(explanation):
            yield [head]
        for result in explanation.found:
            yield self._result(result, brief=is_brief)
        if more := explanation.total - len(explanation.found):
            yield [f"{more:,} more; --limit {explanation.total} shows all."]
        if explanation.how in ("exact", "part"):
            yield wrapped(_elsewhere(explanation))
        if explanation.as_candidate is not None:
            yield self._new_candidate(explanation.as_candidate)
        if explanation.note:
            yield wrapped(explanation.note)

    def _result(self, result: "results.Result", *, brief: bool) -> Iterator[str]:
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

    def _candidate(self, result: "results.CandidateResult") -> Iterator[str]:
        yield f"{visible(result.id, keep='')}: {_outcome(result)}"
        yield from field("text", result.text or "(none)")
        yield from self._origin(result)

    def _origin(self, result: "results.CandidateResult") -> Iterator[str]:
        """Yield lines about a candidate: why it was rejected, similar tasks, and the reply it came from."""
        near, witness = result.nearest, result.witness
        if result.reason is not None:
            yield from field("why", f"{result.meaning} (stage {result.stage})")
        if witness is not None:
            yield from self._near("witness", witness)
        if near is not None and witness is not None and near.task_id == witness.task_id:
            yield from field("nearest", "the witness")
        elif near is not None:
            yield from self._near("nearest", near)
        elif result.ordinal:
            yield from field("nearest", "none: the text has no token that ROUGE-L compares")
        place = f"item {result.ordinal} of {result.items} in" if result.ordinal else "all of"
        yield from field(
            "from",
            f"{place} the reply to {result.request_id} by {result.model} "
            f"(line {result.received:,} of the journal, decided in line {result.decided:,})",
        )

    def _task(self, result: "results.TaskResult", *, brief: bool) -> Iterator[str]:
        source = f"imported from {result.place}" if result.place else "seed task"
        if result.candidate is not None:
            source = f"accepted from {result.candidate.id}"
        yield visible(f"{result.id}: {source}", keep="")
        yield from field("instruction", result.instruction)
        if result.candidate is not None:
            yield from self._origin(result.candidate)
        elif result.line:
            by = f"{result.model}, " if result.model else ""
            yield from field("from", f"{by}line {result.line:,} of the journal")
        if not brief:
            yield from self._role(result)
        instances = self._open
        if result.instances is not None:
            rejected = f", {len(result.rejected)} rejected" if result.rejected else ""
            instances = counted(len(result.instances), "instance") + rejected
        yield from field("instances", instances)
        if not brief:
            yield from _instances(result)

    def _role(self, result: "results.TaskResult") -> Iterator[str]:
        """Yield lines about a task: its prompt, its classification, and how the run used it."""
        shown = [f"{task_id}  {unbroken(text)}" for task_id, text in result.demonstrations]
        yield from labelled("prompt", shown)
        yield from field("kind", self._kind(result))
        yield from field("shown in", counted(result.shown, "answered prompt"))
        rejected = counted(result.witness_against, "rejected candidate")
        yield from field("witness", f"against {rejected}")

    def _kind(self, result: "results.TaskResult") -> str:
        unknown = "not known" if result.instances is not None else self._open
        if result.answers:
            unknown = "asked again"
        kind = {None: unknown, True: "a classification task"}.get(
            result.is_classification, "not a classification task"
        )
        answers = [
            answer.answer
            if answer.text.strip(" .\n").lower() == answer.answer
            else f"{answer.answer} (“{one_line(unbroken(answer.text), _LINE)}”)"
            for answer in result.answers
        ]
        if result.imported_answer is not None:
            answers.insert(0, f"{result.imported_answer} (imported)")
        return f"{kind}; answers: {', '.join(answers)}" if answers else kind

    def _instance(self, result: "results.InstanceResult") -> Iterator[str]:
        yield f"{visible(result.id, keep='')}: {_outcome(result)}"
        if result.instance is not None:
            yield from field("input", result.instance.input or "(none)")
            yield from field("output", result.instance.output)
        else:
            yield from field("text", result.text or "(none)")
            yield from field("why", result.meaning)
        yield from labelled("task", [f"{result.task_id}  {unbroken(result.instruction)}"])
        source = f"line {result.received:,} of the journal, decided in line {result.decided:,}"
        if result.place:
            source = f"{result.place} (line {result.decided:,} of the journal)"
        yield from field("from", source)

    def _request(self, result: "results.RequestResult") -> Iterator[str]:
        by = f" by {visible(result.model, keep='')}" if result.model else ""
        yield f"{visible(result.id, keep='')}: {'answered' + by if by else 'failed'}"
        if result.problem:
            yield from field("note", result.problem)
        if result.finish_reason not in (None, "stop"):
            yield from field("ended by", str(result.finish_reason))
        if result.demonstrations:
            yield from field("prompt", "showed " + ", ".join(result.demonstrations))
        yield from self._items(result)
        if by:
            yield from field("reply", result.text or "(empty)")

    def _excerpt(self, result: "results.Excerpt") -> Iterator[str]:
        yield f"{visible(result.request_id, keep='')}: line {result.line:,} of the reply"
        yield from field("text", result.text)
        yield from self._items(result)
        if result.problem:
            yield from field("note", result.problem)
        elif not result.items and result.answer is None:
            yield from field("why", "No item in the reply has this text.")
        command = f"selfinstruct explain {shlex.quote(str(self._directory))} {result.request_id}"
        # The command is not wrapped, so that it can be copied.
        yield f"  {'whole reply':<{LABEL}}{visible(command, keep='')}"

    def _items(self, result: "results.RequestResult | results.Excerpt") -> Iterator[str]:
        if result.answer is not None:
            yield from field("parsed as", result.answer)
        lines = []
        for item in result.items:
            number = item.id.rpartition("#")[2]
            lines.append(f"#{number} {_outcome(item)}: {unbroken(item.text)}")
            if item.kind == "candidate" and item.nearest is not None and item.nearest.rouge_l:
                like = score(item.nearest.rouge_l, self._threshold)
                lines.append(f"   nearest {item.nearest.task_id}, ROUGE-L {like}")
        yield from labelled("items", lines)

    def _new_candidate(self, new: "results.NewCandidate") -> Iterator[str]:
        from selfinstruct.records.reasons import MEANING

        outcome = f"rejected: {new.reasons[0]}" if new.reasons else "accepted."
        yield f"As the next candidate it would be {outcome}"
        for reason in new.reasons:
            yield from field(reason, MEANING[reason])
        if new.nearest is not None:
            yield from self._near("nearest", new.nearest)

    def _near(self, label: str, near: "results.Near") -> Iterator[str]:
        if near.rouge_l == 0:
            yield from field(label, "none: no task in the pool shares a word with the text")
            return
        same = ", accepted just before from the same reply" if near.in_same_reply else ""
        like = score(near.rouge_l, self._threshold)
        yield from field(label, f"{near.task_id}, ROUGE-L {like}{same}")
        yield from field("", near.instruction)


def _head(explanation: "results.Explanation") -> str:
    """Return the line above the matches; "" if there is only one match."""
    match explanation.how:
        case "none":
            missing = " does not occur in this run."
            if explanation.as_candidate is None:
                missing = ": there is no such id in this run."
            return f"“{one_line(unbroken(explanation.query), _LINE)}”{missing}"
        case "reply":
            where = counted(explanation.total, "reply", "replies")
            return f"Found in {where}, but not as the text of a task or an instance:"
    which = "have" if explanation.how == "exact" else "contain"
    return f"{explanation.total:,} items {which} this text:" if explanation.total > 1 else ""


def _instances(result: "results.TaskResult") -> Iterator[str]:
    for instance in result.instances or ():
        yield from field("  input", instance.input or "(none)")
        yield from field("  output", instance.output)
    for item in result.rejected:
        yield from field("rejected", f"{item.reason}: {item.meaning}")
        yield from field("", item.text or "(none)")


def _elsewhere(explanation: "results.Explanation") -> str:
    """Return a sentence that says where else in the run the query's text occurs."""
    names = explanation.in_replies
    first = ", ".join(names[:_FIRST_IDS]) + (", …" if len(names) > _FIRST_IDS else "")
    replies = counted(len(names), "raw reply", "raw replies")
    where = f"The text is in {replies}: {first}." if names else "No raw reply contains the text."
    if not explanation.partial:
        return where
    more = counted(explanation.partial, "further item")
    return f"The text is also a part of {more}; to find them, search for a longer or shorter text. {where}"


def _outcome(result: "results.CandidateResult | results.InstanceResult") -> str:
    if result.reason is not None:
        return f"rejected, {result.reason}"
    return f"accepted as {result.task_id}" if result.kind == "candidate" else "kept"
