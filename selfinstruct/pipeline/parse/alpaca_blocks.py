r"""Blocks of instruction, input and output, as today's models write them when asked in Alpaca's way.

    "4. Instruction: Add.\n4. Input:\n3, 4\n4. Output:\n7\n###\n5. Instruction: …"   →   Add. / 3, 4 / 7

A block begins at its "Instruction:", so that a wrong number or a missing "###" does not matter. A base model
goes on behind the "4. Instruction:" of its prompt; chat models may or may not repeat it.
"""

import re
from dataclasses import dataclass

from selfinstruct.pipeline.parse.cleanup import (
    bare,
    is_refusal,
    said,
    says_nothing,
    unfenced,
    whole_reply,
    without_goodbye,
)
from selfinstruct.pipeline.parse.instances import rejection_reason
from selfinstruct.pipeline.parse.types import AskedList, ParsedList, rejection
from selfinstruct.records import Candidate, Completion, Instance, Reason

_MARKER = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*)?[ \t]*+"
    r"(?P<number>(?:task[ \t]*+)?\d{1,4}(?:\.\d{1,2})?[.):]?(?:\*\*)?[ \t]*+)?"
    r"(?:\*\*)?(?P<kind>instruction|input|output)(?:[ \t]*+\d{1,4})?[ \t]*+(?:\*\*)?[ \t]*+[:：](?:\*\*)?",
    re.IGNORECASE | re.MULTILINE,
)
# What stands between two blocks ends a field, whatever follows it.
_SEPARATOR = re.compile(r"^[ \t]*+###[ \t]*+$", re.MULTILINE)
# A line above the next block: "---", "### Task 5", "**5.**", "### Task 5: Cooking".
_ABOVE_A_BLOCK = re.compile(
    r"-{3,}|={3,}|\*{3,}|#{2,}|(?:#{1,6}|\*\*)[ \t]*+(?:task[ \t]*+)?\d{1,4}\b.{0,80}",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"\s*+###\s*+\Z|\W*+(?:\d{1,4}[.)]\W*+)?instruction\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Block:
    fields: tuple[tuple[str, str], ...]
    """(kind, text) in order."""

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.fields).strip()


def blocks(request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
    """Read the blocks; see `ListParser`. Of a reply that was cut, the last one is left out."""
    found, rest = _blocks(without_goodbye(unfenced(said(completion.text), _BEGINS)), asked)
    if not found:
        return ParsedList((), (whole_reply(request_id, completion.text, Reason.NO_LIST),))
    shown = {bare(demonstration) for demonstration in asked.demonstrations or ()}
    candidates: list[Candidate] = []
    rejections = []
    for n, block in enumerate(found, start=1):
        candidate, reason = _candidate(f"{request_id}#{n}", block)
        if n == len(found) and completion.truncated and rest is None:
            reason = Reason.TRUNCATED
        elif bare(candidate.instruction) in shown:
            reason = Reason.ECHO
        if reason is None:
            candidates.append(candidate)
        else:
            rejections.append(rejection(request_id, n, reason, block.text))
    if completion.truncated and rest is not None:
        # The cut fell behind the end of the last whole block.
        rejections.append(rejection(request_id, len(found) + 1, Reason.TRUNCATED, rest))
    return ParsedList(tuple(candidates), tuple(rejections))


def _candidate(candidate_id: str, block: _Block) -> tuple[Candidate, Reason | None]:
    fields = dict(reversed(block.fields))
    given = fields.get("input", "")
    instance = Instance(input="" if says_nothing(given) else given, output=fields.get("output", ""))
    candidate = Candidate(
        id=candidate_id, instruction=" ".join(fields["instruction"].split()), instance=instance
    )
    kinds = [kind for kind, _ in block.fields]
    if len(set(kinds)) < len(kinds) or "output" not in kinds or kinds[-1] != "output":
        return candidate, Reason.MALFORMED
    return candidate, rejection_reason(instance)


def _blocks(text: str, asked: AskedList) -> tuple[list[_Block], str | None]:
    """The blocks, and what stands behind the "###" that ends the last one; None where nothing ends it."""
    marks = list(_MARKER.finditer(text))
    if not marks or (is_refusal(text) and marks[0]["kind"].lower() != "instruction"):
        return [], None
    if any(mark["number"] and mark["kind"].lower() != "instruction" for mark in marks):
        # Where inputs and outputs have numbers, a marker without one is a word of the text.
        marks = [mark for mark in marks if mark["number"]]
    ends = [*[mark.start() for mark in marks[1:]], len(text)]
    found: list[list[tuple[str, str]]] = []
    rest: str | None = None
    lead = _field(text[: marks[0].start()])[0]
    goes_on = marks[0]["kind"].lower() != "instruction" or (asked.continues and lead)
    if goes_on and lead:
        found.append([("instruction", lead)])
    for mark, end in zip(marks, ends, strict=True):
        kind = mark["kind"].lower()
        if kind == "instruction":
            found.append([])
        elif not found:
            continue  # an input or output of nothing
        field, rest = _field(text[mark.end() : end])
        found[-1].append((kind, field))
    return [_Block(tuple(fields)) for fields in found], rest


def _field(text: str) -> tuple[str, str | None]:
    """A field without what stands between the blocks; and what is behind its end, None where it has none."""
    end = _SEPARATOR.search(text)
    if end is not None:
        return text[: end.start()].strip(), text[end.end() :].strip()
    lines = text.strip().split("\n")
    while lines and (not lines[-1].strip() or _ABOVE_A_BLOCK.fullmatch(lines[-1].strip())):
        del lines[-1]
    return "\n".join(lines).strip(), None
