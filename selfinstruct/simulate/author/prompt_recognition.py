r"""Recognises prompts by their structure, so users may reword the templates.

The end of a prompt determines what it asks for::

    …tasks 9 to 16…\n1. First task.\n…\n8. Eighth task.     -> Continuation(first=9, last=16, …)
    …\n8. Eighth task.\n   Input: The cat sleeps.           -> Continuation(first=9, …)
    …\n8. Eighth task.\n9.                                  -> Continuation(first=9, bare=True, …)
    …20 tasks…\n###\n3. Instruction: …\n###\n4. Instruction:  -> Blocks(first=4, last=20, …)
    …Task: Sort my mail.\nIs it a classification task?      -> Classification("Sort my mail.", …)
    …Class label: …\nTask: Sort my mail.                    -> Instances(labels_first=True, …)
    …Output: …\nTask: Sort my mail.                         -> Instances(labels_first=False, …)
"""

import re
from dataclasses import dataclass
from typing import Final

_ITEM: Final = re.compile(r"^[ \t]*(\d{1,4})([.)])[ \t]*(.*)$", re.MULTILINE)
_LAST_ITEM: Final = re.compile(r"[ \t]*(\d{1,4})[.)](?:[ \t]|$)")
_RANGE: Final = re.compile(r"\b(\d{1,4})\s*(?:to|through|until|-|–|—)\s*(\d{1,4})\b", re.IGNORECASE)
_MOST: Final = re.compile(r"at most (\d{1,2})\b", re.IGNORECASE)
_TASK: Final = re.compile(r"^(?:Task|Instruction):[ \t]*", re.MULTILINE | re.IGNORECASE)
_LABEL: Final = re.compile(r"^Class label:", re.MULTILINE | re.IGNORECASE)
_OUTPUT: Final = re.compile(r"^Output:", re.MULTILINE | re.IGNORECASE)

_INPUT_LINE: Final = re.compile(r"[ \t]*[Ii]nput:")
_INPUT_BELOW: Final = re.compile(
    r"^[ \t]*\d{1,4}[.)].*(\n[ \t]*[Ii]nput:[ \t]*)(?=\S)", re.MULTILINE
)
# Within a line, a lower-case "input:" belongs to the instruction.
_INPUT_IN_LINE: Final = re.compile(r"([ \t]+Input:[ \t]*)(?=\S).*")

_FENCE: Final = re.compile(r"^[ \t]*#{3,}[ \t]*$", re.MULTILINE)
_OPEN_BLOCK: Final = re.compile(r"[ \t]*(\d{1,4})[.)][ \t]*Instruction:", re.IGNORECASE)
_INSTRUCTION: Final = re.compile(
    r"^[ \t]*\d{1,4}[.)][ \t]*Instruction:[ \t]*(\S.*)$", re.MULTILINE | re.IGNORECASE
)
_NO_INPUT: Final = re.compile(r"Input:\s*(<[^<>\n]{1,20}>)", re.IGNORECASE)
_COUNT: Final = re.compile(
    r"\b(\d{1,4})\s+(?:[a-z-]{1,20}\s+){0,3}?(?:tasks|instructions)\b", re.IGNORECASE
)

MAX_TASKS: Final = 40
"""Maximum number of tasks in a reply, even if the prompt asks for more."""
_DEFAULT_TASKS: Final = 8
_DEFAULT_BLOCKS: Final = 20
_DEFAULT_INSTANCES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A prompt that asks for the tasks numbered `first` to `last`, as a list."""

    demonstrations: tuple[str, ...]
    first: int
    last: int
    bare: bool
    """True if the prompt already ends with the first new task's number."""
    mark: str
    """The character after each number: "." or ")"."""
    input_lead: str
    """The text between a demonstration and its input; "" if no demonstration has an input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """A prompt that asks for the tasks numbered `first` to `last`, as blocks."""

    demonstrations: tuple[str, ...]
    first: int
    last: int
    no_input: str
    """The text that the demonstrations use for an empty input, such as "<noinput>"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """A prompt that asks whether `instruction` is a classification task."""

    instruction: str
    question: str
    """The prompt's last line, which asks the question."""
    marker: str
    """The text before the instruction, such as "Task: "."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """A prompt that asks for examples of the task `instruction`."""

    instruction: str
    labels_first: bool
    most: int
    """Maximum number of examples that the prompt asks for."""
    marker: str
    """The text before the instruction, such as "Task: "."""


Asked = Continuation | Blocks | Classification | Instances


def recognise(prompt: str) -> Asked | None:
    """Return what `prompt` asks for; None if its structure is unknown."""
    prompt = prompt.rstrip()
    last_line = prompt[prompt.rfind("\n") + 1 :]
    open_block = _OPEN_BLOCK.fullmatch(last_line)
    fence = _FENCE.search(prompt)
    if open_block is not None and fence is not None:
        return _blocks(prompt, fence.start(), first=int(open_block[1]))
    if _LAST_ITEM.match(last_line):
        return _continuation(prompt)
    tasks = list(_TASK.finditer(prompt))
    if not tasks:
        return _continuation(prompt) if _ends_with_an_input(prompt) else None
    marker = tasks[-1][0].rstrip() + " "
    rest = prompt[tasks[-1].end() :]
    if last_line.endswith("?") and "classification" in last_line.lower():
        instruction = rest[: -len(last_line)].strip()
        return Classification(instruction=instruction, question=last_line, marker=marker)
    labels_first = _LABEL.search(prompt) is not None
    if not labels_first and _OUTPUT.search(prompt) is None:
        return None
    most = _MOST.search(prompt[: tasks[0].end()])
    return Instances(
        instruction=rest.strip(),
        labels_first=labels_first,
        most=max(1, int(most[1])) if most else _DEFAULT_INSTANCES,
        marker=marker,
    )


def _ends_with_an_input(prompt: str) -> bool:
    """Return whether the prompt ends with the last item's input, which may have several lines."""
    lines = prompt.split("\n")
    at = len(lines) - 1
    while at > 0 and lines[at].strip() and not _INPUT_LINE.match(lines[at]):
        at -= 1
    return at > 0 and bool(_INPUT_LINE.match(lines[at]) and _LAST_ITEM.match(lines[at - 1]))


def _continuation(prompt: str) -> Continuation:
    items = list(_ITEM.finditer(prompt))
    # The list begins at the last item with number 1, because rules above the list may be numbered too.
    start = max((at for at, item in enumerate(items) if int(item[1]) == 1), default=0)
    demonstrations = [item[3].strip() for item in items[start:]]
    lead = ""
    if "nput:" in prompt[items[start].start() :]:  # This cheap check avoids slow patterns.
        in_line = next(filter(None, map(_INPUT_IN_LINE.search, demonstrations)), None)
        below = _INPUT_BELOW.search(prompt, items[start].start())
        lead = below[1] if below else in_line[1] if in_line else ""
        demonstrations = [_INPUT_IN_LINE.sub("", text) for text in demonstrations]
    bare = not demonstrations[-1]
    first = int(items[-1][1]) + (0 if bare else 1)
    return Continuation(
        demonstrations=tuple(filter(None, demonstrations)),
        first=first,
        last=_last(prompt[: items[start].start()], first, default=first + _DEFAULT_TASKS - 1),
        bare=bare,
        mark=items[-1][2],
        input_lead=lead,
    )


def _blocks(prompt: str, start: int, *, first: int) -> Blocks:
    before = prompt[:start]
    counts = [int(count) for count in _COUNT.findall(before)]
    default = max((count for count in counts if count >= first), default=_DEFAULT_BLOCKS)
    no_input = _NO_INPUT.search(prompt, start)
    return Blocks(
        demonstrations=tuple(text.strip() for text in _INSTRUCTION.findall(prompt, start)),
        first=first,
        last=_last(before, first, default=default),
        no_input=no_input[1] if no_input else "<noinput>",
    )


def _last(before: str, first: int, *, default: int) -> int:
    """Return the last number that the text above the list asks for, such as 16 in "9 to 16"."""
    ranges = [(int(a), int(b)) for a, b in _RANGE.findall(before)]
    last = next((high for low, high in reversed(ranges) if low == first), default)
    return min(max(first, last), first + MAX_TASKS - 1)
