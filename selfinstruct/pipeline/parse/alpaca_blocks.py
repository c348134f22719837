r"""Parser for Alpaca's blocks of instruction, input and output, in the formats that current models write.

    "4. Instruction: Add.\n4. Input:\n3, 4\n4. Output:\n7\n###\n5. Instruction: …"   →   Add. / 3, 4 / 7

A block begins at its "Instruction:", so a wrong number or a missing "###" does no harm. A base model
continues after the "4. Instruction:" at the end of its prompt. A chat model may repeat this marker.
"""

import re

from selfinstruct.pipeline.parse import shared
from selfinstruct.pipeline.parse.instances import rejection_reason
from selfinstruct.pipeline.parse.types import AskedList, ParsedList, rejection
from selfinstruct.records import Candidate, Completion, Instance, Reason

_MARKER = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*)?[ \t]*+"
    r"(?P<number>(?:task[ \t]*+)?\d{1,4}(?:\.\d{1,2})?[.):]?(?:\*\*)?[ \t]*+)?"
    r"(?:\*\*)?(?P<kind>instruction|input|output)(?:[ \t]*+\d{1,4})?[ \t]*+(?:\*\*)?[ \t]*+[:：](?:\*\*)?",
    re.IGNORECASE | re.MULTILINE,
)
# The separator between two blocks. It ends a field, whatever text follows.
_SEPARATOR = re.compile(r"^[ \t]*+###[ \t]*+$", re.MULTILINE)
# A separator or heading above a block: "---", "### Task 5", "**5.**", "### Task 5: Cooking".
_BLOCK_HEADING = re.compile(
    r"-{3,}|={3,}|\*{3,}|#{2,}|(?:#{1,6}|\*\*)[ \t]*+(?:task[ \t]*+)?\d{1,4}\b.{0,80}",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"\s*+###\s*+\Z|\W*+(?:\d{1,4}[.)]\W*+)?instruction\b", re.IGNORECASE)


_Block = list[tuple[str, str]]
"""A block's fields in their order in the reply, each as (kind, text)."""


def blocks(request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
    """Parse the blocks in a reply; see `ListParser`. The last block of a truncated reply is rejected."""
    reply = shared.answer_alone(completion.text, _BEGINS)
    parsed, rest = _blocks(reply, asked)
    if not parsed:
        return ParsedList((), (shared.whole_reply(request_id, completion.text, Reason.NO_LIST),))
    demonstrations = set(map(shared.comparable, asked.demonstrations or ()))
    candidates: list[Candidate] = []
    rejections = []
    for n, block in enumerate(parsed, start=1):
        candidate, reason = _candidate(f"{request_id}#{n}", block)
        if n == len(parsed) and completion.truncated and rest is None:
            reason = Reason.TRUNCATED
        elif shared.comparable(candidate.instruction) in demonstrations:
            reason = Reason.ECHO
        if reason is None:
            candidates.append(candidate)
        else:
            text = "\n".join(text for _, text in block).strip()
            rejections.append(rejection(request_id, n, reason, text))
    if completion.truncated and rest is not None:
        # The reply was cut after the end of the last complete block.
        rejections.append(rejection(request_id, len(parsed) + 1, Reason.TRUNCATED, rest))
    return ParsedList(tuple(candidates), tuple(rejections))


def _candidate(candidate_id: str, block: _Block) -> tuple[Candidate, Reason | None]:
    fields = dict(reversed(block))
    input_text = fields.get("input", "")
    instance = Instance(
        input="" if shared.is_placeholder(input_text) else input_text,
        output=fields.get("output", ""),
    )
    candidate = Candidate(
        id=candidate_id, instruction=" ".join(fields["instruction"].split()), instance=instance
    )
    kinds = [kind for kind, _ in block]
    if len(set(kinds)) < len(kinds) or "output" not in kinds or kinds[-1] != "output":
        return candidate, Reason.MALFORMED
    return candidate, rejection_reason(instance)


def _blocks(text: str, asked: AskedList) -> tuple[list[_Block], str | None]:
    """Return the blocks, and the text after the "###" that ends the last block, or None without a "###"."""
    marks = list(_MARKER.finditer(text))
    if not marks or (shared.is_refusal(text) and marks[0]["kind"].lower() != "instruction"):
        return [], None
    if any(mark["number"] and mark["kind"].lower() != "instruction" for mark in marks):
        # If the markers of inputs and outputs have numbers, a marker without a number is part of the text.
        marks = [mark for mark in marks if mark["number"]]
    ends = [*[mark.start() for mark in marks[1:]], len(text)]
    parsed: list[_Block] = []
    rest: str | None = None
    first = _field(text[: marks[0].start()])[0]
    continues = marks[0]["kind"].lower() != "instruction" or asked.continues
    if continues and first:
        parsed.append([("instruction", first)])
    for mark, end in zip(marks, ends, strict=True):
        kind = mark["kind"].lower()
        if kind == "instruction":
            parsed.append([])
        elif not parsed:
            continue  # skip an input or output without an instruction
        field, rest = _field(text[mark.end() : end])
        parsed[-1].append((kind, field))
    return parsed, rest


def _field(text: str) -> tuple[str, str | None]:
    """Return a field's text, and the text after its "###" separator, or None without a separator."""
    end = _SEPARATOR.search(text)
    if end is not None:
        return text[: end.start()].strip(), text[end.end() :].strip()
    lines = text.strip().split("\n")
    while lines and (not lines[-1].strip() or _BLOCK_HEADING.fullmatch(lines[-1].strip())):
        del lines[-1]
    return "\n".join(lines).strip(), None
