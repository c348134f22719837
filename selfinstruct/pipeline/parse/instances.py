r"""Parser for instances in the formats that current models write: inputs and outputs after markers.

    Example 1                    **Input:** 3 + 4       Class label: angry
    Sentence: I am here.         **Output:** 7          Email: Where is my parcel?
    output : Je suis là.

The markers may be in any order. A marker is at the start of a line. Letter case, bold print, a number, and
full-width colons make no difference. The text before "Output:" is the input, including any field names, such
as "Sentence:". `unmarked_output` decides whether a reply without markers is an output or ambiguous.
"""

import re
from typing import NamedTuple

from selfinstruct.pipeline.parse import shared
from selfinstruct.pipeline.parse.reasoning import has_markers
from selfinstruct.pipeline.parse.types import AskedInstances, Pair, ParsedInstances, select
from selfinstruct.pipeline.parse.unmarked_output import (
    asks_for_code,
    has_field_name,
    is_code,
    unmarked_pair,
    without_preface,
)
from selfinstruct.records import Completion, Instance, Reason
from selfinstruct.records.finish_reasons import Ending

_WORDS_OF = {
    "input": "input|entrada|entrée|eingabe|ввод|вход|输入|輸入|入力|입력",
    "output": "output|salida|saída|sortie|ausgabe|вывод|выход|输出|輸出|出力|출력",
    "label": "class label|étiquette|метка|标签|類別|类别|ラベル|레이블|라벨",
    "loose_label": "class|label|category|clase|klasse",
}
# The patterns match blanks possessively ("*+"). Otherwise a reply that contains only blanks could take hours.
# The next pattern matches at the start of a line: "Input:", "**Output 2:**", "### Class label", "output :",
# "- Input:", "1. Input:". It excludes text after a single "#" (a code comment) and deeply indented text
# (code).
_MARKER = re.compile(
    r"^(?:>[ \t]?)?[ ]{0,3}(?:[-*•][ \t]+|\(?\d{1,2}[.)][ \t]+)?(?:#{2,6}[ \t]*+)?"
    r"(?P<bold>\*\*|__|\*)?(?(bold)[ \t]*+)(?:(?:expected|sample|example)[ \t]+)?(?:"
    + "|".join(f"(?P<{kind}>{words})" for kind, words in _WORDS_OF.items())
    + r")[ \t]*+(?:#?\d{1,3})?[ \t]*+(?(bold)(?:[:：][ \t]*+)?(?:\*\*|__|\*)[ \t]*+[:：]?|[:：])[ \t]*+",
    re.IGNORECASE | re.MULTILINE,
)
# "Example 2", "**Example 2 (long)**", "Example 2: …". The heading may be followed by a title or the content.
_HEADING = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*|__)?[ \t]*+"
    r"(?:example|ejemplo|exemple|exemplo|esempio|beispiel|пример|示例|例|예시|예제)"
    r"(?:[ \t]*+\(?#?(?:\d{1,3}|one|two|three|four|five)\b\)?(?:[ \t]*+[.:：)])?|(?P<bare>[ \t]*+[:：]))"
    r"[ \t]*+(?:\*\*|__)?[ \t]*+[:：]?[ \t]*+(?P<rest>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
# A number on a separate line above a marker.
_NUMBER_ABOVE = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+|\*\*[ \t]*+)?\d{1,2}[.)](?:\*\*)?[ \t]*\n"
    r"(?=[ \t]*+(?:\*\*|#{2,6} )?(?:input|output|class)\b)",
    re.IGNORECASE | re.MULTILINE,
)
# The start of another task. A reply may also have been cut after the word "Task".
_NEXT_TASK = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*|__)?(?:next[ \t]+)?task(?:[ \t]*+#?\d{1,4})?[ \t]*+"
    r"(?:\*\*|__)?[ \t]*+(?:[:：](?:\*\*)?|\Z)|^[ \t]*+is it (?:a )?classification",
    re.IGNORECASE | re.MULTILINE,
)
# An "Output:" on the same line as its input. In lower case, "output:" is part of the input.
_INLINE_OUTPUT = re.compile(r"[ \t](?:\*\*)?Output[ \t]*+\d*[ \t]*+:(?:\*\*)?[ \t]*+")
_FENCE_LINE = re.compile(r"^.*```.*$", re.MULTILINE)
_RULE = re.compile(r"(?:-{3,}|\*{3,}|={3,}|#{2,})")


class _Section(NamedTuple):
    """The text from a marker to the next one, and the marker's kind; "" for text before the first marker."""

    kind: str
    text: str


def instances(request_id: str, completion: Completion, asked: AskedInstances) -> ParsedInstances:
    """Parse a task's instances; see `InstanceParser`. The last instance of a truncated reply is rejected."""
    reply = shared.answer_alone(completion.text, _MARKER)
    text, ran_on = _own_part(reply, asked.instruction)
    pairs = _pairs(text, asked, is_whole=completion.ending is Ending.WHOLE)
    if not pairs:
        return ParsedInstances(
            (), (shared.whole_reply(request_id, completion.text, Reason.NO_OUTPUT),)
        )
    judged: list[tuple[Instance, Reason | None]] = []
    for pair in pairs:
        instance = Instance(input=_input(pair.input), output=pair.output)
        reason = pair.reason or rejection_reason(instance, is_label=asked.output_first)
        if reason is None and asked.output_first and pair.input == _EMPTY_INPUT:
            reason = Reason.EMPTY_INPUT
        judged.append((instance, reason))
    if completion.truncated and not ran_on:
        judged[-1] = (judged[-1][0], Reason.TRUNCATED)
    return select(
        request_id,
        judged,
        limit=asked.limit,
        conflict_without_input=asked.output_first,
        normalize=_normalized,
    )


def _normalized(text: str) -> str:
    return shared.folded(text).strip("\"'“”‘’ ")


def rejection_reason(instance: Instance, *, is_label: bool = False) -> Reason | None:
    """Return why an instance must be rejected, without regard to other instances, or None.

    `is_label` says that the output is a class label, which may be "none".
    """
    if shared.is_placeholder(instance.output) and not (
        is_label and shared.is_none(instance.output)
    ):
        return Reason.EMPTY_OUTPUT
    if shared.folded(instance.output) == shared.folded(instance.input):
        return Reason.OUTPUT_EQUALS_INPUT
    if shared.is_refusal(instance.output):
        return Reason.REFUSAL
    if has_markers(instance.input) or has_markers(instance.output):
        return Reason.CONTROL_TOKENS
    if instance.output.rstrip("*_ ").endswith((":", "：")) or instance.input.endswith((":", "：")):
        return Reason.ENDS_IN_COLON
    return None


_EMPTY_INPUT = "\0"
"""Placeholder for the empty input of a class label. NULs in replies are replaced, so no reply contains it."""


# The word "Example" in "Example: [1, 2]" above an output is not part of the input.
_EXAMPLE = re.compile(r"\A(?:example[ \t]*+[:：]\s*+(?:input[ \t]*+[:：]\s*+)?)+", re.IGNORECASE)


def _input(text: str) -> str:
    if text == _EMPTY_INPUT:
        return ""
    text = _EXAMPLE.sub("", text).strip()
    return "" if shared.is_placeholder(text) else text


# ── the part of the reply about this task ────────────────────────────────────────────────────────────────


def _own_part(text: str, instruction: str) -> tuple[str, bool]:
    """Return the part of a reply about this task, and whether another task follows it."""
    text = text.replace("\0", " ")
    task = shared.folded(instruction)
    headings = list(_NEXT_TASK.finditer(text))
    begin = 0
    for heading in headings:
        # A reply may repeat the prompt: first the demonstrations, then this task.
        line, _, _ = text[heading.end() :].partition("\n")
        if task and shared.folded(line) == task:
            begin = heading.end() + len(line)
    ends = [heading.start() for heading in headings if heading.start() >= begin]
    if begin == 0 and ends and not text[: ends[0]].strip():
        # The reply begins with a reworded task. The answer starts on the line after it.
        begin = text.find("\n", ends.pop(0)) + 1 or len(text)
        ends = [end for end in ends if end >= begin]
    end = min(ends, default=len(text))
    return _NUMBER_ABOVE.sub("", text[begin:end]).strip(), bool(ends)


# ── from text to pairs ───────────────────────────────────────────────────────────────────────────────────


def _pairs(text: str, asked: AskedInstances, *, is_whole: bool) -> list[Pair]:
    kinds = {_kind(marker) for marker in _outside_code(text, _MARKER)}
    if asked.output_first:
        # "Category: …" may be a field of an input. It is a label only if there is no "Class label" marker.
        for label in ("label", "loose_label"):
            if label in kinds:
                return _labelled(text, label)
    blocks = _blocks(text)
    if any(_has_output(block) for block in blocks):
        return [pair for block in blocks for pair in _block_pairs(block, asked.instruction)]
    if asked.output_first or not text or shared.is_refusal(text):
        return []
    return [_without_output(block, asked.instruction, is_whole=is_whole) for block in blocks]


def _without_output(block: str, instruction: str, *, is_whole: bool) -> Pair:
    first, *sections = _sections(block)
    if not first.text.strip() and not any(section.text for section in sections):
        return Pair("", "", Reason.EMPTY_OUTPUT)
    if any(section.kind == "input" for section in sections):
        # The text is either an answer under "Input:" or an input without an answer.
        return Pair("", block, Reason.AMBIGUOUS_FORMAT)
    return unmarked_pair(first.text, instruction=instruction, is_whole=is_whole)


def _kind(marker: re.Match[str]) -> str:
    return next(kind for kind in _WORDS_OF if marker[kind])


def _sections(text: str, *kinds: str) -> list[_Section]:
    """Split a text into sections at the markers for inputs, outputs and the further `kinds` of labels."""
    wanted = {"input", "output", *kinds}
    marks = [mark for mark in _outside_code(text, _MARKER) if _kind(mark) in wanted]
    sections = [_Section("", text[: marks[0].start()] if marks else text)]
    for mark, end in zip(marks, [*[m.start() for m in marks[1:]], len(text)], strict=False):
        sections.append(_Section(_kind(mark), _trimmed(text[mark.end() : end])))
    return sections


def _outside_code(text: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """Return a pattern's matches, except those in fenced code blocks."""
    matches = list(pattern.finditer(text))
    if not matches or "```" not in text:
        return matches
    # "Output: ```python" opens a block. A line with two fences neither opens nor closes a block.
    fences = [line for line in _FENCE_LINE.finditer(text) if line[0].count("```") % 2]
    spans = [(a.end(), b.start()) for a, b in zip(fences[::2], fences[1::2], strict=False)]
    return [m for m in matches if not any(a <= m.start() < b for a, b in spans)]


def _trimmed(text: str) -> str:
    """Remove a separator line, such as "---", at the end of a text, unless the same line occurs earlier."""
    lines = text.strip().split("\n")
    while len(lines) > 1 and _RULE.fullmatch(lines[-1].strip()) and lines[-1] not in lines[:-1]:
        del lines[-1]
        while lines and not lines[-1].strip():
            del lines[-1]
    return "\n".join(lines)


def _has_output(block: str) -> bool:
    return any(
        (section.kind == "output" and section.text)
        or (section.kind == "input" and _inline_output(section.text))
        for section in _sections(block)
    )


def _inline_output(text: str) -> re.Match[str] | None:
    """Return the "Output:" marker inside an input if the input has only one line."""
    return None if "\n" in text else _INLINE_OUTPUT.search(text)


def _headings(text: str) -> list[tuple[int, int]]:
    """Return the start of each heading, such as "Example 2", and the start of the content below it."""
    positions = []
    for heading in _outside_code(text, _HEADING):
        rest = heading["rest"].strip("*_ ")
        following = _MARKER.match(text[heading.end() :].lstrip("\n"))
        has_colon = ":" in heading[0] or "：" in heading[0]
        if not rest or _MARKER.match(heading["rest"]):
            is_heading = heading["bare"] is None or bool(rest or following)
            positions += [(heading.start(), heading.start("rest"))] if is_heading else []
        elif heading["bare"] is not None:
            continue  # "Example: [1, 2]" above an output is a field in the input
        elif following is not None and (not has_colon or _kind(following) != "output"):
            positions.append((heading.start(), heading.end()))  # the heading has a title
        elif has_colon:
            positions.append((heading.start(), heading.start("rest")))
        # Otherwise the line is prose, such as "Example 2 shows the same in green".
    return positions


def _blocks(text: str) -> list[str]:
    """Split a text at its headings: "Example 1", "Example 2" and so on."""
    headings = _headings(text)
    if not headings:
        return [text]
    ends = [*[start for start, _ in headings[1:]], len(text)]
    first = text[: headings[0][0]].strip()
    blocks = [text[start:end].strip() for (_, start), end in zip(headings, ends, strict=True)]
    marked = [bool(_outside_code(block, _MARKER)) for block in blocks]
    if _has_output(first) and not all(marked):
        return [text]  # the headings are part of an output
    if any(marked) and not _has_output(first):
        first = ""  # the text before the headings is an introduction
    return [block for block in (first, *blocks) if block]


def _block_pairs(block: str, instruction: str) -> list[Pair]:
    """Return the input-output pairs in one example. The text before an output is the output's input."""
    first, *sections = _sections(block)
    pairs: list[Pair] = []
    pending: str | None = without_preface(first.text) or None
    """An input whose output has not been found yet."""
    if not sections:
        return [Pair(pending or "", "", Reason.NO_OUTPUT)]
    belongs_to_input = pending is not None and (has_field_name(pending) or is_code(pending))
    if sections[0].kind == "input" and not belongs_to_input:
        pending = None  # the text before the first marker is an introduction
    is_answer = pending is not None and is_code(pending) and asks_for_code(instruction)
    half = len(sections) // 2
    kinds = [section.kind for section in sections]
    if pending is None and half > 1 and kinds == ["input"] * half + ["output"] * half:
        # "Input 1: … Input 2: … Output 1: … Output 2: …"
        texts = [section.text for section in sections]
        return [Pair(i, o) for i, o in zip(texts[:half], texts[half:], strict=True)]
    for section, following in zip(sections, [*kinds[1:], ""], strict=True):
        if section.kind == "input":
            inline = _inline_output(section.text) if following != "output" else None
            if inline is not None:
                before, after = section.text[: inline.start()], section.text[inline.end() :]
                pairs.append(Pair(before.strip(), after.strip()))
            elif pending is not None and not pairs and belongs_to_input:
                pending = f"{pending}\n{section.text}"
            else:
                if pending is not None:
                    pairs.append(Pair(pending, "", Reason.NO_OUTPUT))
                pending = section.text
        elif is_answer and not pairs:
            # The pair is the requested code and the result of running it, so neither is the input.
            pairs.append(Pair(pending or "", section.text, Reason.AMBIGUOUS_FORMAT))
            pending = None
        elif pending is None and pairs and pairs[-1].input:
            # The section is a second output for the same input.
            pairs.append(Pair("", section.text, Reason.AMBIGUOUS_FORMAT))
        else:
            pairs.append(Pair(pending or "", section.text))
            pending = None
    if pending is not None:
        pairs.append(Pair(pending, "", Reason.NO_OUTPUT))
    return pairs


def _labelled(text: str, label_kind: str) -> list[Pair]:
    """Return pairs of a class label and its input, which may come after or before the label."""
    for start, content in reversed(_headings(text)):
        text = text[:start] + text[content:]
    sections = _sections(text, label_kind)[1:]
    inputs = [section.text for section in sections if section.kind == "input"]
    labels = [_label(section.text) for section in sections if section.kind == label_kind]
    if sections[0].kind == "input" and sections[0].text and not any(rest for _, rest in labels):
        if sections[-1].kind == label_kind and len(inputs) == len(labels):
            return [Pair(text, label) for text, (label, _) in zip(inputs, labels, strict=True)]
        # There are not as many inputs as labels, so it is unclear which input belongs to which label.
        return [Pair("", label, Reason.AMBIGUOUS_FORMAT) for label, _ in labels]
    pairs: list[Pair] = []
    for section in sections:
        if section.kind == label_kind:
            label, rest = _label(section.text)
            pairs.append(Pair(rest, label))
        elif pairs:
            last = pairs[-1]
            before = "" if last.input == _EMPTY_INPUT else last.input
            parts = [part for part in (before, section.text) if part]
            pairs[-1] = Pair("\n".join(parts) or _EMPTY_INPUT, last.output)
    return pairs


def _label(text: str) -> tuple[str, str]:
    """Return the label in a section, and the other text of the section, which is the input."""
    label, _, rest = text.partition("\n")
    label, _, inline = label.partition(" Input: ")
    return label.strip().strip("*").strip(), inline.strip() or rest.strip()
