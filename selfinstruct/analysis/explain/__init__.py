"""Explain what happened to a text or an id in a run. Pure: works on a journal that was already read.

explain(History(*read_history("my-run")), "generate/000001#7").found[0]
→ CandidateResult(id="generate/000001#7", outcome="rejected", reason="not_novel", witness=…, nearest=…, …)
"""

import re

from selfinstruct.analysis.explain.history import History
from selfinstruct.analysis.explain.results import Explanation, Result
from selfinstruct.journal_events import SourceTask
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.manifest import VERSIONS


def explain(history: History, query: str, *, limit: int | None = 10) -> Explanation:
    """Look up an id or a text in a run and describe at most `limit` matches.

    If `limit` is None, all matches are described. Raises ValueError if the query is empty.
    """
    text = " ".join(query.split())
    if not text:
        raise ValueError("the query is empty; enter a text or an id")
    note = _version_note(history)
    for name in (text, _full_id(text), _seed_id(history, text)):
        result = history.by_id(name)
        if result is not None:
            return Explanation(query=query, how="id", total=1, found=(result,), note=note)
    there = history.source_tasks.get(_full_id(text))
    if there is not None:
        text = " ".join(there.instruction.split())
    matches = history.texts.find(text)
    if there is not None:
        if matches.how == "none":
            return _source_reply(history, query, there)
        note = f"{note} The matches have the same text as this task of the source run.".lstrip()
    if matches.how == "none":
        if _ID.fullmatch(_full_id(text)):
            note = _id_note(history, text)
            return Explanation(query=query, how="none", total=0, found=(), note=note)
        new = history.as_candidate(text)
        return Explanation(query=query, how="none", total=0, found=(), as_candidate=new, note=note)
    found: list[Result | None] = [
        history.excerpt(name, text) if matches.how == "reply" else history.by_id(name)
        for name in matches.ids[:limit]
    ]
    return Explanation(
        query=query,
        how=matches.how,
        total=len(matches.ids),
        found=tuple(result for result in found if result is not None),
        partial=matches.partial,
        in_replies=matches.in_replies,
        note=note,
    )


def _source_reply(history: History, query: str, there: SourceTask) -> Explanation:
    """Explain a source run's task that this run does not have, by showing the reply that contained it."""
    result = history.request(there.candidate_id.rpartition("#")[0])
    note = (
        f"The task was item {there.candidate_id} in the source run. This run parses the reply differently: "
        f"no item in the reply has the text {there.instruction}"
    )
    return Explanation(query=query, how="id", total=1, found=(result,), note=note)


_ID = re.compile(
    r"(?:seed_|source:)?task_\d+|generate/\d+(?:#\d+)?|(?:classify|instances|import)/\S+", re.ASCII
)
_SHORT_ID = re.compile(
    r"((?:classify/|instances/|import/)?(?:source:)?task_|generate/)(\d{1,9})((?:/again)?(?:#\d+)?)",
    re.ASCII,
)


def _full_id(text: str) -> str:
    """Return an id in its full form, with leading zeros and in lower case.

    "Generate/7 # 2" → "generate/000007#2"
    """
    name = re.sub(r"\s*#\s*", "#", text).lower()
    match = _SHORT_ID.fullmatch(name)
    return f"{match[1]}{int(match[2]):06d}{match[3]}" if match else name


def _seed_id(history: History, name: str) -> str:
    """Return the seed task id that equals `name`, ignoring case; `name` itself if there is none."""
    ids = {task.id.casefold(): task.id for task in history.run.seed_tasks}
    return ids.get(name.casefold(), name)


def _id_note(history: History, text: str) -> str:
    """Return a note that lists the ids that exist, for a query with an unknown id."""
    state, note = history.run.state, ""
    if state.source is not None and _full_id(text).startswith("source:"):
        note = (
            "Only source-run tasks whose text is not in this run have ids that start with source:; search "
            "for other tasks by their text. "
        )
    seeds = f"{history.run.seed_tasks[0].id} to {history.run.seed_tasks[-1].id}"
    tasks = f"task_000001 to task_{state.accepted:06d}" if state.accepted else "no task"
    if not state.commits:
        imported = f"{tasks}, which were imported, and " if state.counts.imported else ""
        return f"{note}The run has {imported}the seed tasks {seeds}, and has not decided any reply yet."
    return (
        f"{note}The run has {tasks} and the seed tasks {seeds}, and has decided {generation_id(1)} to "
        f"{generation_id(state.commits)}."
    )


def _version_note(history: History) -> str:
    """Return a note if the run compared its texts with another version of the tokenizer; otherwise ""."""
    if history.run.versions.get("tokenizer") == VERSIONS["tokenizer"]:
        return ""
    return "The run used another version of the tokenizer. The nearest tasks were found with this version."
