r"""From the text of a reply to what it says: candidates, yes or no, instances. Each with its rejections.

Pure, and total: no text makes a parser raise, none invents words, and what it returns stands in the reply up
to white space. A reply that was cut by length never yields its last item, which may be half a sentence.

    "9. Name three rivers.\n10. Sum up the le"  (cut)  →  "Name three rivers."; "Sum up the le": truncated
    "Yes."                                             →  yes
    "Input: 3 + 4\nOutput: 7"                          →  Instance(input="3 + 4", output="7")
"""

import re
from dataclasses import dataclass
from typing import Literal

from selfinstruct.records import Candidate, Completion, Instance, Reason, Rejection

PARSERS_VERSION = 1
"""Rises when the same reply may be read differently; part of a run's fingerprint."""

Answer = Literal["yes", "no", "unclear"]

# "9. Name …", "10) Name …", "**11.** Name …", "- 12. Name …"
_NUMBERED = re.compile(r"^\s*(?:[-*•]\s+)?(?:\*\*)?(\d{1,4})\s*[.):](?:\*\*)?(?:\s+|$)(.*)$")

_MOST_SKIPPED = 8
"""Numbers that may be missing between two items; a larger step is a number in the text."""

_THOUGHTS = re.compile(r"\s*<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)

_ANSWER = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)

_REFUSAL = re.compile(
    r"\W*(?:(?:i['’]m|i am|we['’]re)\s+(?:very |so )?sorry|sorry,|i apologi[sz]e|as an ai\b"
    r"|i (?:cannot|can['’]t|can not|am unable to|['’]m unable to|won['’]t) "
    r"(?:help|assist|fulfil|comply|provide|continue|do that))",
    re.IGNORECASE,
)

# A marker stands at the start of its line: "Input: …", "Class label: …"; "Example 2" has its line to itself.
_MARKER = re.compile(
    r"^[ \t]*(?:\*\*)?(?:"
    r"(example)[ \t]*\d{1,3}[ \t*.:]*$"
    r"|(input|output|class label|task)(?:[ \t]*\d{1,3})?(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]*)",
    re.IGNORECASE | re.MULTILINE,
)

_NO_INPUT = frozenset(
    {"<noinput>", "noinput", "no input", "none", "(none)", "n/a", "not applicable", "-"}
)
_NO_OUTPUT = frozenset({"<nooutput>", "nooutput", "no output", "n/a", "not applicable", "-"})


@dataclass(frozen=True, slots=True)
class ParsedList:
    """What a reply to a generation request says. Every item is in exactly one of the two."""

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class ParsedInstances:
    """What a reply to an instance request says."""

    instances: tuple[Instance, ...]
    rejections: tuple[Rejection, ...]


def instructions(request_id: str, completion: Completion) -> ParsedList:
    """Read a numbered list of instructions, one to a line.

    The list may begin at any number; then numbers must rise, though some may be missing. A further line
    without a number belongs to the item before it, a blank line ends the item, and a second list ends the
    reading.
    """
    items = _numbered_items(_said(completion.text))
    if not items:
        return ParsedList((), (_whole_reply(request_id, completion.text, Reason.NO_LIST),))
    texts = [_tidy(item) for item in items]
    rejections: list[Rejection] = []
    if completion.truncated:
        rejections.append(
            Rejection(
                candidate_id=f"{request_id}#{len(texts)}",
                stage="parse",
                reason=Reason.TRUNCATED,
                text=texts.pop(),
            )
        )
    candidates = tuple(
        Candidate(id=f"{request_id}#{n}", instruction=text) for n, text in enumerate(texts, start=1)
    )
    return ParsedList(candidates, tuple(rejections))


def _said(text: str) -> str:
    """The text without what a model thinks aloud first; of thoughts without an end, nothing remains.

    Where the prompt's template has opened the thoughts, the reply begins inside them.
    """
    match = _THOUGHTS.match(text)
    if match is not None:
        return text[match.end() :]
    before, end, after = text.partition("</think>")
    began_inside = end and "<think>" not in before and (not after or after[0] in "\r\n")
    return after if began_inside else text


def _numbered_items(text: str) -> list[str]:
    items: list[list[str]] = []
    expected: int | None = None
    is_open = False
    for line in text.splitlines():
        match = _NUMBERED.match(line)
        if match:
            number = int(match[1])
            if expected is None or expected <= number <= expected + _MOST_SKIPPED:
                items.append([match[2]])
                expected = number + 1
                is_open = True
                continue
            if number == 1:
                break
            is_open = False  # neither the next item nor a part of this one
        elif not line.strip():
            is_open = False
        elif is_open:
            items[-1].append(line)
    return [" ".join(lines) for lines in items]


def _tidy(item: str) -> str:
    """One line without the bold marks or quotation marks that some models put around an item."""
    text = " ".join(item.split())
    for mark in ("**", '"'):
        inner = text[len(mark) : -len(mark)]
        if len(text) > 2 * len(mark) and text == mark + inner + mark and mark not in inner:
            text = inner.strip()
    return text


def yes_or_no(completion: Completion) -> Answer:
    """Read the answer to "Is it a classification task?". Anything but a clear yes or no is unclear."""
    match = _ANSWER.match(_said(completion.text))
    if match is None:
        return "unclear"
    return "yes" if match[1].lower() == "yes" else "no"


def instances(
    request_id: str, completion: Completion, *, output_first: bool, limit: int
) -> ParsedInstances:
    """Read the instances of a task; keep the first `limit` usable ones in text order.

    Input-first: "Input:" lines, each followed by "Output:"; "Output:" alone where the task needs no input.
    Output-first: "Class label:" lines, each followed by "Input:". "Example 1" lines may stand between. A
    further "Task:" ends the reading: it is the model running on.
    """
    found = _sections(_said(completion.text))
    pairs = _output_first(found) if output_first else _input_first(found)
    if not pairs:
        return ParsedInstances((), (_whole_reply(request_id, completion.text, Reason.NO_OUTPUT),))
    judged = [(Instance(input=i or "", output=o or ""), _objection(i, o)) for i, o in pairs]
    if completion.truncated and found[-1][0] not in ("example", "task"):
        judged[-1] = (judged[-1][0], Reason.TRUNCATED)

    outputs: dict[str, set[str]] = {}
    for instance, reason in judged:
        if reason is None:
            outputs.setdefault(instance.input, set()).add(instance.output)

    kept: list[Instance] = []
    rejections: list[Rejection] = []
    for n, (instance, reason) in enumerate(judged, start=1):
        if reason is None:
            if len(outputs[instance.input]) > 1:
                reason = Reason.CONFLICTING_OUTPUTS
            elif instance in kept:
                reason = Reason.DUPLICATE_INSTANCE
            elif len(kept) == limit:
                reason = Reason.OVER_LIMIT
        if reason is None:
            kept.append(instance)
        else:
            rejections.append(
                Rejection(
                    candidate_id=f"{request_id}#{n}",
                    stage="parse",
                    reason=reason,
                    text=f"{instance.input}\n{instance.output}".strip(),
                )
            )
    return ParsedInstances(tuple(kept), tuple(rejections))


def _sections(text: str) -> list[tuple[str, str]]:
    """(marker, text up to the next marker) in order, up to and including the first "Task:"."""
    marks = list(_MARKER.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    sections: list[tuple[str, str]] = []
    for mark, end in zip(marks, ends, strict=False):
        name = (mark[1] or mark[2]).lower()
        sections.append((name, text[mark.end() : end].strip()))
        if name == "task":
            break
    return sections


def _input_first(sections: list[tuple[str, str]]) -> list[tuple[str | None, str | None]]:
    """(input, output); the output is None where "Input:" was not followed by "Output:"."""
    pairs: list[tuple[str | None, str | None]] = []
    pending: str | None = None
    for name, text in sections:
        if name == "output":
            pairs.append((_input(pending or ""), text))
            pending = None
            continue
        if pending is not None:
            pairs.append((_input(pending), None))
        pending = text if name == "input" else None
    if pending is not None:
        pairs.append((_input(pending), None))
    return pairs


def _output_first(sections: list[tuple[str, str]]) -> list[tuple[str | None, str | None]]:
    """(input, label); the input is "" where the label stands alone, None where "Input:" was left empty."""
    pairs: list[tuple[str | None, str | None]] = []
    for name, text in sections:
        if name == "class label":
            pairs.append(("", text))
        elif name == "input" and pairs and pairs[-1][0] == "":
            pairs[-1] = (_input(text) if text else None, pairs[-1][1])
    return pairs


def _input(text: str) -> str:
    return "" if text.lower().rstrip(".") in _NO_INPUT else text


def _objection(given: str | None, output: str | None) -> Reason | None:
    if output is None:
        return Reason.NO_OUTPUT
    if not output or output.lower().rstrip(".") in _NO_OUTPUT:
        return Reason.EMPTY_OUTPUT
    if given is None:
        return Reason.EMPTY_INPUT
    if output == given:
        return Reason.OUTPUT_EQUALS_INPUT
    if _REFUSAL.match(output):
        return Reason.REFUSAL
    return None


def _whole_reply(request_id: str, text: str, otherwise: Reason) -> Rejection:
    """The rejection of a reply in which nothing was found."""
    if not _said(text).strip():
        reason = Reason.EMPTY_REPLY
    elif _REFUSAL.match(_said(text).strip()):
        reason = Reason.REFUSAL
    else:
        reason = otherwise
    return Rejection(
        candidate_id=f"{request_id}#0", stage="parse", reason=reason, text=text.strip()
    )
