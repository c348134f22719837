r"""Reads replies as the published code does, faults included.

The code is that of yizhongw/self-instruct, and of tatsu-lab/stanford_alpaca for `blocks`. This is for people
who want the published decisions; the other modules read better. What is published and looks odd is kept: text
is capitalised ("a PhD in AI" → "A phd in ai"), a list that was cut by length is thrown away whole, "Yes." is
no, the word Example in a sentence begins an instance, and without "Output:" an example is an output.

One thing is ours: the published prompts end in "9." and the reply goes on from there. A chat model begins a
text of its own, so its first number stands at the beginning of a line; that line is taken for one of a list.

    " Name three rivers.\n10. Explain what a PhD in AI is"
    →  "Name three rivers."  "Explain what a phd in ai is"
"""

import re

from selfinstruct.pipeline.parse.types import (
    AskedInstances,
    AskedList,
    ParsedInstances,
    ParsedList,
    keep,
    rejection,
)
from selfinstruct.records import Answer, Candidate, Completion, Instance, Reason, Rejection
from selfinstruct.records.finish_reasons import Ending

# The patterns below are facts of the published code; another spelling would be another decision.
_NEXT_NUMBER = re.compile(r"\n\d+\s?\. ")
_YES = frozenset({"Yes", "yes", "YES"})
_EXAMPLE = re.compile(r"Example\s?\d*\.?")
_OUTPUT = re.compile(r"Output\s*+\d*+\s*+:")
_INPUT = re.compile(r"Input\s*+\d*+\s*+:")
_CLASS_LABEL = "Class label:"
_BLOCK_END = "###"


def _is_cut(completion: Completion) -> bool:
    return completion.ending in (Ending.CUT, Ending.FAILED)


def instructions(request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
    """Split a continued list at its numbers, fold white space, capitalise. See `ListParser`."""
    if _is_cut(completion):
        return ParsedList((), (rejection(request_id, 0, Reason.TRUNCATED, completion.text),))
    if not completion.text.strip():
        return ParsedList((), (rejection(request_id, 0, Reason.EMPTY_REPLY, ""),))
    began_anew = asked.continues is False
    pieces = _NEXT_NUMBER.split("\n" + completion.text if began_anew else completion.text)
    if began_anew and len(pieces) > 1 and not pieces[0].strip():
        del pieces[0]
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    for n, piece in enumerate(pieces, start=1):
        text = re.sub(r"\s+", " ", piece).strip().capitalize()
        if text:
            candidates.append(Candidate(id=f"{request_id}#{n}", instruction=text))
        else:
            rejections.append(rejection(request_id, n, Reason.EMPTY, ""))
    return ParsedList(tuple(candidates), tuple(rejections))


def answer(completion: Completion, *, instruction: str = "") -> Answer:  # noqa: ARG001
    """Yes is yes in three spellings and nothing else; everything else is no. See `AnswerParser`."""
    return "yes" if completion.text.strip() in _YES else "no"


def instances(request_id: str, completion: Completion, asked: AskedInstances) -> ParsedInstances:
    """Split at "Class label:" or "Example"; see `InstanceParser`.

    Where the published code draws five of the good instances at random, the first ones are kept.
    """
    found = (_labelled if asked.output_first else _examples)(completion.text)
    judged = [(instance, _objection(instance)) for instance in found]
    if _is_cut(completion) and judged:
        judged[-1] = (judged[-1][0], Reason.TRUNCATED)
    if _contradict([instance for instance, reason in judged if reason is None]):
        # Of one input with several outputs not these alone are dropped, but all instances of the task.
        judged = [(instance, reason or Reason.CONFLICTING_OUTPUTS) for instance, reason in judged]
    parsed = keep(request_id, judged, limit=asked.limit, conflict_without_input=False)
    if not judged:
        reason = Reason.NO_OUTPUT if completion.text.strip() else Reason.EMPTY_REPLY
        return ParsedInstances((), (rejection(request_id, 0, reason, completion.text.strip()),))
    return parsed


def _contradict(found: list[Instance]) -> bool:
    """Whether an input has several outputs; no input at all may."""
    different = {instance for instance in found if instance.input}
    return len({instance.input for instance in different}) < len(different)


def _labelled(text: str) -> list[Instance]:
    found = []
    for piece in text.split(_CLASS_LABEL)[1:]:
        label, _, given = piece.strip().partition("\n")
        found.append(Instance(input=given.strip(), output=label.strip()))
    return found


def _examples(text: str) -> list[Instance]:
    text = text.strip()
    if _EXAMPLE.search(text):
        return [_pair(piece.strip()) for piece in _EXAMPLE.split(text) if piece.strip()]
    return [_pair(text)] if _OUTPUT.search(text) else []


def _pair(text: str) -> Instance:
    pieces = _OUTPUT.split(text)
    given, output = (pieces[0], pieces[1]) if len(pieces) > 1 else ("", text)
    output = _INPUT.split(output.strip())[0]
    marker = _INPUT.match(given.strip())
    given = given.strip()[marker.end() :] if marker else given
    return Instance(input=given.strip(), output=output.strip())


def _objection(instance: Instance) -> Reason | None:
    if instance.input == instance.output:
        # Both empty is an empty output to a reader; the published code drops it either way.
        return Reason.OUTPUT_EQUALS_INPUT if instance.output else Reason.EMPTY_OUTPUT
    if not instance.output:
        return Reason.EMPTY_OUTPUT
    if instance.input.endswith(":") or instance.output.endswith(":"):
        return Reason.ENDS_IN_COLON
    return None


def blocks(request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
    """Read "###"-separated blocks of instruction, input and output, as Alpaca does. See `ListParser`.

    A block must hold "N. Instruction:", "N. Input:" and "N. Output:" with its own number, each once. The
    last one is dropped when the reply was cut by length.
    """
    text = completion.text
    begin = f"{asked.first_number}. Instruction:"
    if asked.continues is not False or begin not in text[: len(begin) + 40]:
        # The prompt ends in this marker; a chat model may begin by repeating it.
        text = begin + text
    else:
        text = text[text.index(begin) :]
    pieces = text.split(_BLOCK_END)
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    for n, piece in enumerate(pieces, start=1):
        number = asked.first_number + n - 1
        # Of a piece without a colon nothing can come; a hostile reply may have thousands of them.
        fields = (
            re.split(rf"{number}\.\s+(?:Instruction|Input|Output):", piece) if ":" in piece else []
        )
        if n == len(pieces) and _is_cut(completion):
            rejections.append(rejection(request_id, n, Reason.TRUNCATED, piece.strip()))
        elif len(fields) != 4:
            rejections.append(rejection(request_id, n, Reason.MALFORMED, piece.strip()))
        else:
            _, instruction, given, output = (field.strip() for field in fields)
            given = "" if given.lower() == "<noinput>" else given
            candidates.append(
                Candidate(
                    id=f"{request_id}#{n}",
                    instruction=instruction,
                    instance=Instance(input=given, output=output),
                )
            )
    return ParsedList(tuple(candidates), tuple(rejections))
