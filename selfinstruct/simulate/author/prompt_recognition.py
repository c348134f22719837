r"""Recognising prompts: which of the Self-Instruct prompts is this, and about what?

Knows the shape of the prompts, not their wording, so that users may rewrite the templates. What
counts is how a prompt ends::

    …tasks 9 to 16…\n1. First task.\n…\n8. Eighth task.     -> Continuation(first=9, last=16, …)
    …\n8. Eighth task.\n   Input: The cat sleeps.           -> Continuation(first=9, …)
    …\n8. Eighth task.\n9.                                  -> Continuation(first=9, bare=True, …)
    …20 tasks…\n###\n3. Instruction: …\n###\n4. Instruction:  -> Blocks(first=4, last=20, …)
    …Task: Sort my mail.\nIs it a classification task?      -> Verdict("Sort my mail.", …)
    …Class label: …\nTask: Sort my mail.                    -> Instances(labels_first=True, …)
    …Output: …\nTask: Sort my mail.                         -> Instances(labels_first=False, …)

Everything else is none of them.
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
_CUSTOMARY: Final = re.compile(r"is (?:it|this) (?:a )?classification(?: task)?\?", re.IGNORECASE)

_INPUT_LINE: Final = re.compile(r"[ \t]*[Ii]nput:")
_INPUT_BENEATH: Final = re.compile(
    r"^[ \t]*\d{1,4}[.)].*(\n[ \t]*[Ii]nput:[ \t]*)(?=\S)", re.MULTILINE
)
# In lower case, inside a line, it is the instruction that speaks of an input.
_INPUT_BEHIND: Final = re.compile(r"([ \t]+Input:[ \t]*)(?=\S).*")

_FENCE: Final = re.compile(r"^[ \t]*#{3,}[ \t]*$", re.MULTILINE)
_OPEN_BLOCK: Final = re.compile(r"[ \t]*(\d{1,4})[.)][ \t]*Instruction:", re.IGNORECASE)
_INSTRUCTION: Final = re.compile(
    r"^[ \t]*\d{1,4}[.)][ \t]*Instruction:[ \t]*(\S.*)$", re.MULTILINE | re.IGNORECASE
)
_NO_INPUT: Final = re.compile(r"Input:\s*(<[^<>\n]{1,20}>)", re.IGNORECASE)
_COUNT: Final = re.compile(
    r"\b(\d{1,4})\s+(?:[a-z-]{1,20}\s+){0,3}?(?:tasks|instructions)\b", re.IGNORECASE
)

MOST_LINES: Final = 40
"""The longest continuation the author writes, whatever a prompt asks for."""
_USUAL_LINES: Final = 8
_USUAL_BLOCKS: Final = 20
_USUAL_INSTANCES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """Asks for tasks `first` to `last` after the list of `demonstrations`.

    `bare` says that the prompt ends with the first number already, `mark` is what stands behind the
    numbers, and `input_lead` what leads from a demonstration to its input ("" if none shows one).
    """

    demonstrations: tuple[str, ...]
    first: int
    last: int
    bare: bool
    mark: str
    input_lead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Asks for tasks `first` to `last`, each with its input and output in a block of its own.

    `no_input` is what the demonstrations write in place of an input that is not needed.
    """

    demonstrations: tuple[str, ...]
    first: int
    last: int
    no_input: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Asks whether `instruction` is a classification task.

    `question` is the last line, and `customary` says that it is the one everybody asks. `marker` is
    what stands before the instruction.
    """

    instruction: str
    question: str
    customary: bool
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Asks for at most `most` examples of `instruction`, before which `marker` stands."""

    instruction: str
    labels_first: bool
    most: int
    marker: str


Asked = Continuation | Blocks | Verdict | Instances


def recognise(prompt: str) -> Asked | None:
    """What `prompt` asks for; None if it is none of the prompts."""
    prompt = prompt.rstrip()
    last_line = prompt[prompt.rfind("\n") + 1 :]
    open_block = _OPEN_BLOCK.fullmatch(last_line)
    if open_block is not None and _FENCE.search(prompt):
        return _blocks(prompt, first=int(open_block[1]))
    if _LAST_ITEM.match(last_line):
        return _continuation(prompt)
    tasks = list(_TASK.finditer(prompt))
    if not tasks:
        return _continuation(prompt) if _ends_with_an_input(prompt) else None
    marker = tasks[-1][0].rstrip() + " "
    asked = prompt[tasks[-1].end() :]
    if last_line.endswith("?") and "classification" in last_line.lower():
        return Verdict(
            instruction=asked[: -len(last_line)].strip(),
            question=last_line,
            customary=_CUSTOMARY.fullmatch(last_line.strip()) is not None,
            marker=marker,
        )
    labels_first = _LABEL.search(prompt) is not None
    if not labels_first and _OUTPUT.search(prompt) is None:
        return None
    most = _MOST.search(prompt[: tasks[0].end()])
    return Instances(
        instruction=asked.strip(),
        labels_first=labels_first,
        most=max(1, int(most[1])) if most else _USUAL_INSTANCES,
        marker=marker,
    )


def _ends_with_an_input(prompt: str) -> bool:
    """Whether the prompt ends with the input of the last item, in one or more lines."""
    lines = prompt.split("\n")
    at = len(lines) - 1
    while at > 0 and lines[at].strip() and not _INPUT_LINE.match(lines[at]):
        at -= 1
    return at > 0 and bool(_INPUT_LINE.match(lines[at]) and _LAST_ITEM.match(lines[at - 1]))


def _continuation(prompt: str) -> Continuation:
    items = list(_ITEM.finditer(prompt))
    # The list is the last run of items that begins with number 1; rules above it may be numbered.
    start = max((at for at, item in enumerate(items) if int(item[1]) == 1), default=0)
    shown = [item[3].strip() for item in items[start:]]
    lead = ""
    if "nput:" in prompt[items[start].start() :]:  # to look more closely takes its time
        behind = next(filter(None, map(_INPUT_BEHIND.search, shown)), None)
        beneath = _INPUT_BENEATH.search(prompt, items[start].start())
        lead = beneath[1] if beneath else behind[1] if behind else ""
        shown = [_INPUT_BEHIND.sub("", text) for text in shown]
    bare = not shown[-1]
    first = int(items[-1][1]) + (0 if bare else 1)
    return Continuation(
        demonstrations=tuple(filter(None, shown)),
        first=first,
        last=_last(prompt[: items[start].start()], first, usual=first + _USUAL_LINES - 1),
        bare=bare,
        mark=items[-1][2],
        input_lead=lead,
    )


def _blocks(prompt: str, *, first: int) -> Blocks:
    fence = _FENCE.search(prompt)
    start = fence.start() if fence else 0
    before = prompt[:start]
    counts = [int(count) for count in _COUNT.findall(before)]
    usual = max((count for count in counts if count >= first), default=_USUAL_BLOCKS)
    no_input = _NO_INPUT.search(prompt, start)
    return Blocks(
        demonstrations=tuple(text.strip() for text in _INSTRUCTION.findall(prompt, start)),
        first=first,
        last=_last(before, first, usual=usual),
        no_input=no_input[1] if no_input else "<noinput>",
    )


def _last(before: str, first: int, *, usual: int) -> int:
    """The last number asked for by what stands `before` the list: "9 to 16", or else `usual`."""
    ranges = [(int(a), int(b)) for a, b in _RANGE.findall(before)]
    last = next((high for low, high in reversed(ranges) if low == first), usual)
    return min(max(first, last), first + MOST_LINES - 1)
