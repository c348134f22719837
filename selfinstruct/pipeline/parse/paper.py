r"""Parsers that make the same decisions as the published code, including its faults.

`blocks` follows tatsu-lab/stanford_alpaca; the other parsers follow yizhongw/self-instruct. Use them to
reproduce published decisions; the parsers of the default profile extract more. The odd behaviour is kept:
text is capitalised ("a PhD in AI" → "A phd in ai"), a truncated list is rejected as a whole, "Yes." means no,
the word "Example" in a sentence begins an instance, and an example without "Output:" is taken as an output.

There is one addition. The published prompts end in "9.", and a base model continues from there. A chat model
starts a new text instead, with a number at the start of its first line. That line counts as the first item.

    " Name three rivers.\n10. Explain what a PhD in AI is"
    →  "Name three rivers."  "Explain what a phd in ai is"
"""

import re

from selfinstruct.pipeline.parse.types import (
    AskedInstances,
    AskedList,
    ParsedInstances,
    ParsedList,
    rejection,
    select,
)
from selfinstruct.records import Answer, Candidate, Completion, Instance, Reason, Rejection
from selfinstruct.records.finish_reasons import Ending

# These patterns are copied from the published code. If they change, decisions change.
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
    """Split a list at its numbers, normalise the white space and capitalise each item. See `ListParser`."""
    if _is_cut(completion):
        return ParsedList((), (rejection(request_id, 0, Reason.TRUNCATED, completion.text),))
    if not completion.text.strip():
        return ParsedList((), (rejection(request_id, 0, Reason.EMPTY_REPLY, ""),))
    is_chat = asked.continues is False
    pieces = _NEXT_NUMBER.split("\n" + completion.text if is_chat else completion.text)
    if is_chat and len(pieces) > 1 and not pieces[0].strip():
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


def answer(completion: Completion, _instruction: str) -> Answer:
    """Return "yes" for the replies "Yes", "yes" and "YES", and "no" for any other. See `AnswerParser`."""
    return "yes" if completion.text.strip() in _YES else "no"


def instances(request_id: str, completion: Completion, asked: AskedInstances) -> ParsedInstances:
    """Split a reply into instances at "Class label:" or "Example"; see `InstanceParser`.

    The published code samples five usable instances at random. This parser takes the first usable instances.
    """
    parsed = (_labelled if asked.output_first else _examples)(completion.text)
    if not parsed:
        reason = Reason.NO_OUTPUT if completion.text.strip() else Reason.EMPTY_REPLY
        return ParsedInstances((), (rejection(request_id, 0, reason, completion.text.strip()),))
    judged = [(instance, _rejection_reason(instance)) for instance in parsed]
    if _is_cut(completion):
        judged[-1] = (judged[-1][0], Reason.TRUNCATED)
    if _conflict([instance for instance, reason in judged if reason is None]):
        # After a conflict, all instances of the task are rejected, not only the conflicting ones.
        judged = [(instance, reason or Reason.CONFLICTING_OUTPUTS) for instance, reason in judged]
    return select(request_id, judged, limit=asked.limit, conflict_without_input=False)


def _conflict(instances: list[Instance]) -> bool:
    """Return whether two instances have the same input but different outputs. Empty inputs do not count."""
    different = {instance for instance in instances if instance.input}
    return len({instance.input for instance in different}) < len(different)


def _labelled(text: str) -> list[Instance]:
    instances = []
    for piece in text.split(_CLASS_LABEL)[1:]:
        label, _, input_text = piece.strip().partition("\n")
        instances.append(Instance(input=input_text.strip(), output=label.strip()))
    return instances


def _examples(text: str) -> list[Instance]:
    text = text.strip()
    if _EXAMPLE.search(text):
        return [_pair(piece.strip()) for piece in _EXAMPLE.split(text) if piece.strip()]
    return [_pair(text)] if _OUTPUT.search(text) else []


def _pair(text: str) -> Instance:
    pieces = _OUTPUT.split(text)
    input_text, output = (pieces[0].strip(), pieces[1]) if len(pieces) > 1 else ("", text)
    output = _INPUT.split(output.strip())[0]
    marker = _INPUT.match(input_text)
    input_text = input_text[marker.end() :] if marker else input_text
    return Instance(input=input_text.strip(), output=output.strip())


def _rejection_reason(instance: Instance) -> Reason | None:
    if instance.input == instance.output:
        # The published code does not distinguish these two cases.
        return Reason.OUTPUT_EQUALS_INPUT if instance.output else Reason.EMPTY_OUTPUT
    if not instance.output:
        return Reason.EMPTY_OUTPUT
    if instance.input.endswith(":") or instance.output.endswith(":"):
        return Reason.ENDS_IN_COLON
    return None


def blocks(request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
    """Split a reply at "###" into blocks of instruction, input and output, as in Alpaca. See `ListParser`.

    Block N must contain "N. Instruction:", "N. Input:" and "N. Output:" once each. The last block of a
    truncated reply is rejected.
    """
    text = completion.text
    begin = f"{asked.first_number}. Instruction:"
    if asked.continues is not False or begin not in text[: len(begin) + 40]:
        # The prompt ends in this marker, so the reply continues after it. A chat model may repeat the marker.
        text = begin + text
    else:
        text = text[text.index(begin) :]
    pieces = text.split(_BLOCK_END)
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    for n, piece in enumerate(pieces, start=1):
        number = asked.first_number + n - 1
        # A hostile reply may have thousands of pieces. A piece without a colon is no block, so skip the
        # regex.
        fields = (
            re.split(rf"{number}\.\s+(?:Instruction|Input|Output):", piece) if ":" in piece else []
        )
        if n == len(pieces) and _is_cut(completion):
            rejections.append(rejection(request_id, n, Reason.TRUNCATED, piece.strip()))
        elif len(fields) != 4:
            rejections.append(rejection(request_id, n, Reason.MALFORMED, piece.strip()))
        else:
            _, instruction, input_text, output = (field.strip() for field in fields)
            input_text = "" if input_text.lower() == "<noinput>" else input_text
            candidates.append(
                Candidate(
                    id=f"{request_id}#{n}",
                    instruction=instruction,
                    instance=Instance(input=input_text, output=output),
                )
            )
    return ParsedList(tuple(candidates), tuple(rejections))
