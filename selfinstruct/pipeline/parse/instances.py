r"""Instances, as today's models write them: inputs and outputs between markers, in either order.

    Example 1                    **Input:** 3 + 4       Class label: angry
    Sentence: I am here.         **Output:** 7          Email: Where is my parcel?
    output : Je suis là.

A marker stands at the start of its line, in bold, in any case, with or without a number, with an ASCII or a
full-width colon. What stands before "Output:" is the input, with its own field names where it has some. A
reply without any marker is the output where nothing else can be meant (code, an answer to a question that
needs no material), and ambiguous otherwise: whether a text is what the task is applied to or what comes out
of it must not be guessed.
"""

import re
from dataclasses import dataclass

from selfinstruct.pipeline.parse.cleanup import (
    folded,
    is_none,
    is_refusal,
    said,
    says_nothing,
    unfenced,
    whole_reply,
    without_goodbye,
)
from selfinstruct.pipeline.parse.reasoning import has_markers
from selfinstruct.pipeline.parse.types import AskedInstances, Pair, ParsedInstances, keep
from selfinstruct.pipeline.parse.unmarked_output import (
    asks_for_code,
    is_code,
    names_a_field,
    unmarked,
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
# In these patterns a run of blanks is never given back ("*+"): a reply of nothing but blanks must not take
# hours.
# At the start of a line: "Input:", "**Output 2:**", "### Class label", "output :", "- Input:", "1. Input:". A
# single "#" is a comment of code, and what stands far to the right a part of it.
_MARKER = re.compile(
    r"^(?:>[ \t]?)?[ ]{0,3}(?:[-*•][ \t]+|\(?\d{1,2}[.)][ \t]+)?(?:#{2,6}[ \t]*+)?"
    r"(?P<bold>\*\*|__|\*)?(?(bold)[ \t]*+)(?:(?:expected|sample|example)[ \t]+)?(?:"
    + "|".join(f"(?P<{kind}>{words})" for kind, words in _WORDS_OF.items())
    + r")[ \t]*+(?:#?\d{1,3})?[ \t]*+(?(bold)(?:[:：][ \t]*+)?(?:\*\*|__|\*)[ \t]*+[:：]?|[:：])[ \t]*+",
    re.IGNORECASE | re.MULTILINE,
)
# "Example 2", "**Example 2 (long)**", "Example 2: …". Behind it stands a title, or the content already.
_HEADING = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*|__)?[ \t]*+"
    r"(?:example|ejemplo|exemple|exemplo|esempio|beispiel|пример|示例|例|예시|예제)"
    r"(?:[ \t]*+\(?#?(?:\d{1,3}|one|two|three|four|five)\b\)?(?:[ \t]*+[.:：)])?|(?P<bare>[ \t]*+[:：]))"
    r"[ \t]*+(?:\*\*|__)?[ \t]*+[:：]?[ \t]*+(?P<rest>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
# A number that has a line to itself, above a marker.
_NUMBER_ABOVE = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+|\*\*[ \t]*+)?\d{1,2}[.)](?:\*\*)?[ \t]*\n"
    r"(?=[ \t]*+(?:\*\*|#{2,6} )?(?:input|output|class)\b)",
    re.IGNORECASE | re.MULTILINE,
)
# The next task: the model runs on. A bare "Task" at the very end is the beginning of one.
_NEXT_TASK = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*|__)?(?:next[ \t]+)?task(?:[ \t]*+#?\d{1,4})?[ \t]*+"
    r"(?:\*\*|__)?[ \t]*+(?:[:：](?:\*\*)?|\Z)|^[ \t]*+is it (?:a )?classification",
    re.IGNORECASE | re.MULTILINE,
)
# In the line of its input; in small letters, it is a word of that line.
_INLINE_OUTPUT = re.compile(r"[ \t](?:\*\*)?Output[ \t]*+\d*[ \t]*+:(?:\*\*)?[ \t]*+")
_RULE = re.compile(r"(?:-{3,}|\*{3,}|={3,}|#{2,})")


@dataclass(frozen=True, slots=True)
class _Section:
    """The text behind a marker, up to the next one. The kind is "" for what stands before the first."""

    kind: str
    text: str


def instances(request_id: str, completion: Completion, asked: AskedInstances) -> ParsedInstances:
    """Read the instances of a task; see `InstanceParser`. Of a reply that was cut, the last is left out."""
    reply = without_goodbye(unfenced(said(completion.text), _MARKER))
    text, ran_on = _own_part(reply, asked.instruction)
    pairs = _pairs(text, asked, is_whole=completion.ending is Ending.WHOLE)
    if not pairs:
        return ParsedInstances((), (whole_reply(request_id, completion.text, Reason.NO_OUTPUT),))
    judged: list[tuple[Instance, Reason | None]] = []
    for pair in pairs:
        instance = Instance(input=_input(pair.given), output=pair.output)
        reason = pair.reason or rejection_reason(instance, is_label=asked.output_first)
        if reason is None and asked.output_first and pair.given == _LEFT_EMPTY:
            reason = Reason.EMPTY_INPUT
        judged.append((instance, reason))
    if completion.truncated and not ran_on:
        judged[-1] = (judged[-1][0], Reason.TRUNCATED)
    return keep(
        request_id,
        judged,
        limit=asked.limit,
        conflict_without_input=asked.output_first,
        same=_alike,
    )


def _alike(text: str) -> str:
    return folded(text).strip("\"'“”‘’ ")


def rejection_reason(instance: Instance, *, is_label: bool = False) -> Reason | None:
    """What speaks against an instance by itself. A label may well be "none"."""
    if says_nothing(instance.output) and not (is_label and is_none(instance.output)):
        return Reason.EMPTY_OUTPUT
    if folded(instance.output) == folded(instance.input):
        return Reason.OUTPUT_EQUALS_INPUT
    if is_refusal(instance.output):
        return Reason.REFUSAL
    if has_markers(instance.input) or has_markers(instance.output):
        return Reason.CONTROL_TOKENS
    if instance.output.rstrip("*_ ").endswith((":", "：")) or instance.input.endswith((":", "：")):
        return Reason.ENDS_IN_COLON
    return None


_LEFT_EMPTY = "\0"
"""Stands for the input where a label is followed by an empty "Input:"; no reply can hold it by itself."""


# "Example: [1, 2]" above an output: the word is not a part of the input.
_EXAMPLE = re.compile(r"\A(?:example[ \t]*+[:：]\s*+(?:input[ \t]*+[:：]\s*+)?)+", re.IGNORECASE)


def _input(text: str) -> str:
    if text == _LEFT_EMPTY:
        return ""
    text = _EXAMPLE.sub("", text).strip()
    return "" if says_nothing(text) else text


# ── which part of the reply is about this task ───────────────────────────────────────────────────────────


def _own_part(text: str, instruction: str) -> tuple[str, bool]:
    """The part about this task, and whether another task follows it."""
    text = text.replace("\0", " ")
    task = folded(instruction)
    headings = list(_NEXT_TASK.finditer(text))
    begin = 0
    for heading in headings:
        # A reply may repeat the prompt: its own demonstrations come first, then this very task.
        line, _, _ = text[heading.end() :].partition("\n")
        if task and folded(line) == task:
            begin = heading.end() + len(line)
    ends = [heading.start() for heading in headings if heading.start() >= begin]
    if begin == 0 and ends and not text[: ends[0]].strip():
        # It begins with a task line in other words; what follows that line is the answer to it.
        begin = text.find("\n", ends.pop(0)) + 1 or len(text)
        ends = [end for end in ends if end >= begin]
    end = min(ends, default=len(text))
    return _NUMBER_ABOVE.sub("", text[begin:end]).strip(), bool(ends)


# ── from text to pairs ───────────────────────────────────────────────────────────────────────────────────


def _pairs(text: str, asked: AskedInstances, *, is_whole: bool) -> list[Pair]:
    kinds = {_kind(marker) for marker in _outside_code(text, _MARKER)}
    if asked.output_first:
        # "Category: …" may be a field of an input; it is a label only where nothing says "Class label".
        for label in ("label", "loose_label"):
            if label in kinds:
                return _labelled(text, label)
    blocks = _blocks(text)
    if any(_has_output(block) for block in blocks):
        return [pair for block in blocks for pair in _block_pairs(block, asked.instruction)]
    if asked.output_first or not text or is_refusal(text):
        return []
    return [_without_output(block, asked.instruction, is_whole=is_whole) for block in blocks]


def _without_output(block: str, instruction: str, *, is_whole: bool) -> Pair:
    lead, *sections = _sections(block)
    if not lead.text.strip() and not any(section.text for section in sections):
        return Pair("", "", Reason.EMPTY_OUTPUT)
    if any(section.kind == "input" for section in sections):
        # The answer under "Input:", or an input without an answer: nobody can tell.
        return Pair("", block, Reason.AMBIGUOUS_FORMAT)
    return unmarked(lead.text, instruction=instruction, is_whole=is_whole)


def _kind(marker: re.Match[str]) -> str:
    return next(kind for kind in _WORDS_OF if marker[kind])


def _sections(text: str, *kinds: str) -> list[_Section]:
    """The text at its inputs and outputs, and at its labels of a kind that is named in `kinds`."""
    wanted = {"input", "output", *kinds}
    marks = [mark for mark in _outside_code(text, _MARKER) if _kind(mark) in wanted]
    sections = [_Section("", text[: marks[0].start()] if marks else text)]
    for mark, end in zip(marks, [*[m.start() for m in marks[1:]], len(text)], strict=False):
        sections.append(_Section(_kind(mark), _trimmed(text[mark.end() : end])))
    return sections


def _outside_code(text: str, pattern: re.Pattern[str]) -> list[re.Match[str]]:
    """The places of a pattern, but for those in a fenced block of code."""
    found = list(pattern.finditer(text))
    if not found or "```" not in text:
        return found
    spans: list[tuple[int, int]] = []
    start: int | None = None
    place = 0
    for line in text.split("\n"):
        if "```" in line:
            # "Output: ```python" opens one, too; a line with both ends changes nothing.
            for _ in range(line.count("```") % 2):
                if start is None:
                    start = place + len(line)
                else:
                    spans.append((start, place))
                    start = None
        place += len(line) + 1
    return [m for m in found if not any(a <= m.start() < b for a, b in spans)]


def _trimmed(text: str) -> str:
    """A section without the rule that sets it apart from the next one; a rule of its own has a partner."""
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
    """The marker of an output that stands in the one line of its input."""
    return None if "\n" in text else _INLINE_OUTPUT.search(text)


def _headings(text: str) -> list[tuple[int, int]]:
    """For each "Example 2" that is a heading: where it begins, and where its content does."""
    found = []
    for heading in _outside_code(text, _HEADING):
        rest = heading["rest"].strip("*_ ")
        following = _MARKER.match(text[heading.end() :].lstrip("\n"))
        has_colon = ":" in heading[0] or "：" in heading[0]
        if not rest or _MARKER.match(heading["rest"]):
            is_heading = heading["bare"] is None or bool(rest or following)
            found += [(heading.start(), heading.start("rest"))] if is_heading else []
        elif heading["bare"] is not None:
            continue  # "Example: [1, 2]" above an output: a field
        elif following is not None and (not has_colon or _kind(following) != "output"):
            found.append((heading.start(), heading.end()))  # a title
        elif has_colon:
            found.append((heading.start(), heading.start("rest")))
        # "Example 2 shows the same in green" is prose.
    return found


def _blocks(text: str) -> list[str]:
    """The text split at "Example 1", "Example 2" and so on, where these are headings."""
    headings = _headings(text)
    if not headings:
        return [text]
    ends = [*[start for start, _ in headings[1:]], len(text)]
    first = text[: headings[0][0]].strip()
    blocks = [text[start:end].strip() for (_, start), end in zip(headings, ends, strict=True)]
    marked = [bool(_outside_code(block, _MARKER)) for block in blocks]
    if _has_output(first) and not all(marked):
        return [text]  # inside of an output, the examples are a part of it
    if any(marked) and not _has_output(first):
        first = ""  # an announcement
    return [block for block in (first, *blocks) if block]


def _block_pairs(block: str, instruction: str) -> list[Pair]:
    """Pairs of one example: what comes before an output is its input."""
    lead, *sections = _sections(block)
    pairs: list[Pair] = []
    given: str | None = without_preface(lead.text) or None
    if not sections:
        return [Pair(given or "", "", Reason.NO_OUTPUT)]
    belongs_to_input = given is not None and (names_a_field(given) or is_code(given))
    if sections[0].kind == "input" and not belongs_to_input:
        given = None  # an announcement
    is_answer = given is not None and is_code(given) and asks_for_code(instruction)
    half = len(sections) // 2
    kinds = [section.kind for section in sections]
    if given is None and half > 1 and kinds == ["input"] * half + ["output"] * half:
        # "Input 1: … Input 2: … Output 1: … Output 2: …"
        texts = [section.text for section in sections]
        return [Pair(i, o) for i, o in zip(texts[:half], texts[half:], strict=True)]
    for section, following in zip(sections, [*kinds[1:], ""], strict=True):
        if section.kind == "input":
            inline = _inline_output(section.text) if following != "output" else None
            if inline is not None:
                before, after = section.text[: inline.start()], section.text[inline.end() :]
                pairs.append(Pair(before.strip(), after.strip()))
            elif given is not None and not pairs and belongs_to_input:
                given = f"{given}\n{section.text}"
            else:
                if given is not None:
                    pairs.append(Pair(given, "", Reason.NO_OUTPUT))
                given = section.text
        elif is_answer and not pairs:
            # The code that was asked for, and what it prints: neither is the other's input.
            pairs.append(Pair(given or "", section.text, Reason.AMBIGUOUS_FORMAT))
            given = None
        elif given is None and pairs and pairs[-1].given:
            # One input and two outputs: which one is meant?
            pairs.append(Pair("", section.text, Reason.AMBIGUOUS_FORMAT))
        else:
            pairs.append(Pair(given or "", section.text))
            given = None
    if given is not None:
        pairs.append(Pair(given, "", Reason.NO_OUTPUT))
    return pairs


def _labelled(text: str, label_kind: str) -> list[Pair]:
    """Pairs of a label and what follows it; or precedes it, where the inputs come first."""
    for start, content in reversed(_headings(text)):
        text = text[:start] + text[content:]
    sections = _sections(text, label_kind)[1:]
    inputs = [section.text for section in sections if section.kind == "input"]
    labels = [_label(section.text) for section in sections if section.kind == label_kind]
    if sections[0].kind == "input" and sections[0].text and not any(rest for _, rest in labels):
        if sections[-1].kind == label_kind and len(inputs) == len(labels):
            return [Pair(given, label) for given, (label, _) in zip(inputs, labels, strict=True)]
        # Is the first input one too many, or the last one?
        return [Pair("", label, Reason.AMBIGUOUS_FORMAT) for label, _ in labels]
    pairs: list[Pair] = []
    for section in sections:
        if section.kind == label_kind:
            label, rest = _label(section.text)
            pairs.append(Pair(rest, label))
        elif pairs:
            last = pairs[-1]
            known = "" if last.given == _LEFT_EMPTY else last.given
            parts = [part for part in (known, section.text) if part]
            pairs[-1] = Pair("\n".join(parts) or _LEFT_EMPTY, last.output)
    return pairs


def _label(text: str) -> tuple[str, str]:
    """(label, what stands in the lines below it)."""
    label, _, rest = text.partition("\n")
    label, _, inline = label.partition(" Input: ")
    return label.strip().strip("*").strip(), inline.strip() or rest.strip()
