"""What became of a text or an id in a run, and why. Pure, once the journal is read.

explain(History(*read_history("my-run")), "generate/000001#7").found[0]
→ CandidateFate(id="generate/000001#7", verdict="rejected", reason="not_novel", witness=…, nearest=…, …)
"""

import re
from collections.abc import Iterator
from itertools import islice

from selfinstruct.explain.fates import Explanation, Fate
from selfinstruct.explain.history import History
from selfinstruct.parse.reply import folded
from selfinstruct.run_directory import VERSIONS, Run
from selfinstruct.state import generation_id


def explain(history: History, query: str, *, limit: int = 10) -> Explanation:
    """What became of what has this id or this text; at most `limit` are told in full.

    Raises ValueError for a query of nothing but white space.
    """
    text = " ".join(query.split())
    if not text:
        raise ValueError("there is nothing to look for")
    note = _note(history.run)
    for name in (text, _whole_id(text)):
        fate = history.by_id(name)
        if fate is not None:
            return Explanation(query=query, how="id", total=1, found=(fate,), note=note)
    how, ids = history.with_text(folded(text))
    if how == "none":
        if _ID.fullmatch(text):
            return Explanation(query=query, how=how, total=0, found=(), note=_extent(history))
        outlook = history.outlook(text)
        return Explanation(query=query, how=how, total=0, found=(), outlook=outlook, note=note)
    if how == "reply":
        found: Iterator[Fate | None] = (history.passage(name, text) for name in ids)
    else:
        found = map(history.by_id, ids)
    return Explanation(
        query=query,
        how=how,
        total=len(ids),
        found=tuple(fate for fate in islice(found, limit) if fate is not None),
        note=note,
    )


_ID = re.compile(r"task_\d+|generate/\d+(?:#\d+)?|(?:classify|instances)/\S+", re.ASCII)
_SHORT_ID = re.compile(r"(task_|generate/)(\d{1,9})(#\d+)?", re.ASCII)


def _whole_id(text: str) -> str:
    """An id with its zeros, for those who leave them out: "generate/7#2"."""
    match = _SHORT_ID.fullmatch(text)
    return f"{match[1]}{int(match[2]):06d}{match[3] or ''}" if match else text


def _extent(history: History) -> str:
    """What ids there are, for somebody who asks for another one."""
    state = history.run.state
    if not state.commits:
        return "The run has decided no reply yet."
    tasks = f"task_000001 to task_{state.accepted:06d}" if state.accepted else "no task"
    return f"The run has {tasks}, and has decided {generation_id(1)} to {generation_id(state.commits)}."


def _note(run: Run) -> str:
    if run.versions.get("tokenizer") == VERSIONS["tokenizer"]:
        return ""
    return "The run was made with another version of the tokenizer; nearest tasks are found with this one."
