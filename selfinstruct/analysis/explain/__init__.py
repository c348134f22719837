"""What became of a text or an id in a run, and why. Pure, once the journal is read.

explain(History(*read_history("my-run")), "generate/000001#7").found[0]
→ CandidateFate(id="generate/000001#7", verdict="rejected", reason="not_novel", witness=…, nearest=…, …)
"""

import re
from collections.abc import Iterator
from itertools import islice

from selfinstruct.analysis.explain.lookup import History
from selfinstruct.analysis.explain.results import Explanation, Fate
from selfinstruct.events import SourceTask
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.directory import Run
from selfinstruct.runner.manifest import VERSIONS


def explain(history: History, query: str, *, limit: int | None = 10) -> Explanation:
    """What became of what has this id or this text; at most `limit` are told in full, or all.

    Raises ValueError for a query of nothing but white space.
    """
    text = " ".join(query.split())
    if not text:
        raise ValueError("there is nothing to look for")
    note = _note(history.run)
    for name in (text, _whole_id(text), history.seed_id(text)):
        fate = history.by_id(name)
        if fate is not None:
            return Explanation(query=query, how="id", total=1, found=(fate,), note=note)
    there = history.source_tasks.get(_whole_id(text))
    if there is not None:
        text = " ".join(there.instruction.split())
    matches = history.texts.find(text)
    if there is not None:
        if matches.how == "none":
            return _its_reply(history, query, there)
        note = f"{note} Above is what became here of its text.".lstrip()
    if matches.how == "none":
        if _ID.fullmatch(_whole_id(text)) or history.is_like_a_seed_id(text):
            note = _extent(history)
            if history.run.state.source is not None and _whole_id(text).startswith("source:"):
                note = (
                    "Only tasks of the old run that are none here have such a name; what the others "
                    f"are here, their text tells. {note}"
                )
            return Explanation(query=query, how="none", total=0, found=(), note=note)
        outlook = history.outlook(text)
        return Explanation(query=query, how="none", total=0, found=(), outlook=outlook, note=note)
    if matches.how == "reply":
        found: Iterator[Fate | None] = (history.passage(name, text) for name in matches.ids)
    else:
        found = map(history.by_id, matches.ids)
    return Explanation(
        query=query,
        how=matches.how,
        total=len(matches.ids),
        found=tuple(fate for fate in islice(found, limit) if fate is not None),
        partial=matches.partial,
        in_replies=matches.in_replies,
        note=note,
    )


def _its_reply(history: History, query: str, there: SourceTask) -> Explanation:
    """For a task of the source whose text stands nowhere: its profile made that text of the reply."""
    fate = history.request(there.candidate_id.rpartition("#")[0])
    note = (
        f"Above is the reply that it was taken from, as item {there.candidate_id}; as it is read here, no "
        f"item has its text: {there.instruction}"
    )
    return Explanation(query=query, how="id", total=1, found=(fate,), note=note)


_ID = re.compile(
    r"(?:seed_|source:)?task_\d+|generate/\d+(?:#\d+)?|(?:classify|instances|import)/\S+", re.ASCII
)
_SHORT_ID = re.compile(
    r"((?:classify/|instances/|import/)?(?:source:)?task_|generate/)(\d{1,9})((?:/again)?(?:#\d+)?)",
    re.ASCII,
)


def _whole_id(text: str) -> str:
    """An id with its zeros and in its case, for those who type it otherwise: "Generate/7 # 2"."""
    name = re.sub(r"\s*#\s*", "#", text).lower()
    match = _SHORT_ID.fullmatch(name)
    return f"{match[1]}{int(match[2]):06d}{match[3]}" if match else name


def _extent(history: History) -> str:
    """What ids there are, for somebody who asks for another one."""
    state = history.run.state
    seeds = f"{state.pool[0].id} to {state.pool[state.pool.seed_count - 1].id}"
    tasks = f"task_000001 to task_{state.accepted:06d}" if state.accepted else "no task"
    if not state.commits:
        imported = f"{tasks}, which were imported, and " if state.imported else ""
        return f"The run has {imported}the seed tasks {seeds}, and has decided no reply yet."
    return (
        f"The run has {tasks} and the seed tasks {seeds}, and has decided {generation_id(1)} to "
        f"{generation_id(state.commits)}."
    )


def _note(run: Run) -> str:
    """What should be known of the tokens that texts were compared by."""
    if run.versions.get("tokenizer") == VERSIONS["tokenizer"]:
        return ""
    return "The run was made with another version of the tokenizer; nearest tasks are found with this one."
