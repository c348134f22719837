r"""Recognising prompts: which of the four Self-Instruct prompts is this, and about what?

Knows the shape of the prompts, not their wording, so that users may rewrite the templates. What
counts is how a prompt ends::

    …tasks 9 to 16…\n1. First task.\n…\n8. Eighth task.     -> Continuation(first=9, last=16)
    …Task: Sort my mail.\nIs it a classification task?      -> Verdict("Sort my mail.")
    …Class label: …\nTask: Sort my mail.                    -> Instances(labels_first=True)
    …Output: …\nTask: Sort my mail.                         -> Instances(labels_first=False)

Everything else is none of them.
"""

import re
from dataclasses import dataclass
from typing import Final

_ITEM: Final = re.compile(r"^[ \t]*(\d{1,4})[.)][ \t]*(.*)$", re.MULTILINE)
_LAST_ITEM: Final = re.compile(r"[ \t]*(\d{1,4})[.)](?:[ \t]|$)")
_RANGE: Final = re.compile(r"\b(\d{1,4})\s*(?:to|through|until|-|–|—)\s*(\d{1,4})\b", re.IGNORECASE)
_MOST: Final = re.compile(r"at most (\d{1,2})\b", re.IGNORECASE)
_TASK: Final = re.compile(r"^(?:Task|Instruction):[ \t]*", re.MULTILINE | re.IGNORECASE)
_LABEL: Final = re.compile(r"^Class label:", re.MULTILINE | re.IGNORECASE)
_OUTPUT: Final = re.compile(r"^Output:", re.MULTILINE | re.IGNORECASE)

MOST_LINES: Final = 40
"""The longest continuation the author writes, whatever a prompt asks for."""
_USUAL_LINES: Final = 8
_USUAL_INSTANCES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Asks for tasks `first` to `last` after the list of `demonstrations`."""

    demonstrations: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Asks whether `instruction` is a classification task."""

    instruction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Asks for at most `most` examples of `instruction`."""

    instruction: str
    labels_first: bool
    most: int


def recognise(prompt: str) -> Continuation | Verdict | Instances | None:
    """What `prompt` asks for; None if it is not one of the four prompts."""
    prompt = prompt.rstrip()
    last_line = prompt[prompt.rfind("\n") + 1 :]
    if _LAST_ITEM.match(last_line):
        return _continuation(prompt)
    tasks = [found.end() for found in _TASK.finditer(prompt)]
    if not tasks:
        return None
    asked = prompt[tasks[-1] :]
    if last_line.endswith("?") and "classification" in last_line.lower():
        return Verdict(instruction=asked[: -len(last_line)].strip())
    labels_first = _LABEL.search(prompt) is not None
    if not labels_first and _OUTPUT.search(prompt) is None:
        return None
    most = _MOST.search(prompt[: tasks[0]])
    return Instances(
        instruction=asked.strip(),
        labels_first=labels_first,
        most=max(1, int(most[1])) if most else _USUAL_INSTANCES,
    )


def _continuation(prompt: str) -> Continuation:
    items = list(_ITEM.finditer(prompt))
    # The list is the last run of items that begins with number 1; rules above it may be numbered.
    start = max((at for at, item in enumerate(items) if int(item[1]) == 1), default=0)
    demonstrations = tuple(item[2].strip() for item in items[start:] if item[2].strip())
    before = prompt[: items[start].start()]
    ranges = [(int(a), int(b)) for a, b in _RANGE.findall(before)]
    next_number = int(items[-1][1]) + (1 if items[-1][2].strip() else 0)
    first, last = next(
        (pair for pair in reversed(ranges) if pair[0] == next_number),
        (next_number, next_number + _USUAL_LINES - 1),
    )
    last = min(max(first, last), first + MOST_LINES - 1)
    return Continuation(demonstrations=demonstrations, first=first, last=last)
