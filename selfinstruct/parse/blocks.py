r"""Blocks of instruction, input and output, as today's models write them when asked in Alpaca's way.

    "4. Instruction: Add.\n4. Input:\n3, 4\n4. Output:\n7\n###\n5. Instruction: …"   →   Add. / 3, 4 / 7

A block begins at its "Instruction:", so that a wrong number or a missing "###" does not matter. A base model
goes on behind the "4. Instruction:" of its prompt; chat models may or may not repeat it.
"""

import re
from dataclasses import dataclass

from selfinstruct.parse.found import AskedList, ParsedList, rejection
from selfinstruct.parse.instances import objection
from selfinstruct.parse.reply import folded, is_refusal, said, says_nothing, whole_reply
from selfinstruct.records import Candidate, Completion, Instance, Reason

_MARKER = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*)?[ \t]*+"
    r"(?P<number>(?:task[ \t]*+)?\d{1,4}(?:\.\d{1,2})?[.):]?(?:\*\*)?[ \t]*+)?"
    r"(?:\*\*)?(?P<kind>instruction|input|output)(?:[ \t]*+\d{1,4})?[ \t]*+(?:\*\*)?[ \t]*+[:：](?:\*\*)?",
    re.IGNORECASE | re.MULTILINE,
)
_SEPARATOR = re.compile(r"^[ \t]*+(?:#{2,}|-{3,}|={3,}|\*{3,})[ \t]*+$", re.MULTILINE)
_GOODBYE = re.compile(r"\W*(?:let me know|i hope|feel free|would you like)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Block:
    fields: tuple[tuple[str, str], ...]
    """(kind, text) in order."""

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.fields).strip()


def blocks(request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
    """Read the blocks; see `ListParser`. Of a reply that was cut, the last one is left out."""
    found = _blocks(_without_goodbye(said(completion.text)), asked)
    if not found:
        return ParsedList((), (whole_reply(request_id, completion.text, Reason.NO_LIST),))
    shown = {folded(demonstration) for demonstration in asked.demonstrations or ()}
    candidates: list[Candidate] = []
    rejections = []
    for n, block in enumerate(found, start=1):
        candidate, reason = _candidate(f"{request_id}#{n}", block)
        if n == len(found) and completion.truncated:
            reason = Reason.TRUNCATED
        elif folded(candidate.instruction) in shown:
            reason = Reason.ECHO
        if reason is None:
            candidates.append(candidate)
        else:
            rejections.append(rejection(request_id, n, reason, block.text))
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
    return candidate, objection(instance)


def _blocks(text: str, asked: AskedList) -> list[_Block]:
    marks = list(_MARKER.finditer(text))
    if not marks or (is_refusal(text) and marks[0]["kind"].lower() != "instruction"):
        return []
    if any(mark["number"] for mark in marks):
        # Where the markers have numbers, one without is a word of the text.
        marks = [mark for mark in marks if mark["number"]]
    ends = [*[mark.start() for mark in marks[1:]], len(text)]
    found: list[list[tuple[str, str]]] = []
    lead = _clean(text[: marks[0].start()])
    goes_on = marks[0]["kind"].lower() != "instruction" or (asked.continues and lead)
    if goes_on and lead:
        found.append([("instruction", lead)])
    for mark, end in zip(marks, ends, strict=True):
        kind = mark["kind"].lower()
        if kind == "instruction":
            found.append([])
        elif not found:
            continue  # an input or output of nothing
        found[-1].append((kind, _clean(text[mark.end() : end])))
    return [_Block(tuple(fields)) for fields in found]


def _without_goodbye(text: str) -> str:
    """The text without a last line that says goodbye, which stands alone below a blank one."""
    before, _, last = text.rstrip().rpartition("\n")
    above = before.rpartition("\n")[2]
    return before if before and not above.strip() and _GOODBYE.match(last) else text


def _clean(text: str) -> str:
    return _SEPARATOR.sub("", text).strip()
