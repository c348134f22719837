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

from selfinstruct.parse.found import AskedInstances, ParsedInstances, keep
from selfinstruct.parse.reply import folded, is_refusal, said, says_nothing, whole_reply
from selfinstruct.records import Completion, Instance, Reason

_WORDS_OF = {
    "input": "input|entrada|entrée|eingabe|ввод|вход|输入|輸入|入力|입력",
    "output": "output|salida|saída|sortie|ausgabe|вывод|выход|输出|輸出|出力|출력",
    "label": "class label|étiquette|метка|标签|類別|类别|ラベル|레이블|라벨",
    "loose_label": "class|label|category|clase|klasse",
}
# In these patterns a run of blanks is never given back ("*+"): a reply of nothing but blanks must not take
# hours.
# At the start of a line: "Input:", "**Output 2:**", "### Class label", "output :", "- Input: …".
_MARKER = re.compile(
    r"^[ \t>]*+(?:[-*•][ \t]+)?(?:#{1,6}[ \t]*+)?(?P<bold>\*\*|__)?[ \t]*+"
    r"(?:(?:expected|sample|example)[ \t]+)?(?:"
    + "|".join(f"(?P<{kind}>{words})" for kind, words in _WORDS_OF.items())
    + r")[ \t]*+(?:#?\d{1,3})?[ \t]*+(?(bold)(?:[:：][ \t]*+)?(?:\*\*|__)[ \t]*+[:：]?|[:：])[ \t]*+",
    re.IGNORECASE | re.MULTILINE,
)
# "Example 2" alone in its line; "Example 2: …" only where the rest of the line is its content.
_HEADING = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*|__)?[ \t]*+"
    r"(?:example|ejemplo|exemple|beispiel|пример|示例|例|예시|예제)"
    r"[ \t]*+#?(?:\d{1,3})[ \t]*+(?:[.:：)][ \t]*+)?(?:\*\*|__)?[ \t]*+[:：]?[ \t]*+(?P<rest>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
# The next task: the model runs on. A bare "Task" at the very end is the beginning of one.
_NEXT_TASK = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\*\*|__)?(?:next[ \t]+)?task(?:[ \t]*+#?\d{1,4})?[ \t]*+"
    r"(?:\*\*|__)?[ \t]*+(?:[:：](?:\*\*)?|\Z)|^[ \t]*+is it (?:a )?classification",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWER = re.compile(
    r"^[ \t]*+(?:\*\*)?(?:answer|response|result|solution)(?:\*\*)?[ \t]*+[:：](?:\*\*)?[ \t]*+",
    re.IGNORECASE | re.MULTILINE,
)
# In the line of its input; in small letters, it is a word of that line.
_INLINE_OUTPUT = re.compile(r"[ \t](?:\*\*)?Output[ \t]*+\d*[ \t]*+:(?:\*\*)?[ \t]*+")
_RULE = re.compile(r"^[ \t]*+(?:-{3,}|\*{3,}|={3,}|#{2,})[ \t]*+$", re.MULTILINE)
_PREFACE = re.compile(
    r"\A\W*+(?:sure|certainly|of course|absolutely|okay|here (?:is|are)|here['’]s|below (?:is|are))\b"
    r"[^\n]*[:：.!][^\w\n]*+(?:\n|\Z)",
    re.IGNORECASE,
)
# A line that names a field: "List: [1, 2]", "Side lengths: a = 3".
_FIELD = re.compile(r"\W{0,3}[A-Za-z][\w'’-]*(?: [\w'’-]+){0,3}[ \t]*+[:：](?!//)")
_CODE = re.compile(
    r"\s*+(?:```|(?:async )?def \w+\s*\(|class \w+\s*[:({]|import \w+|from \w[\w.]* import |#include\b|#!/"
    r"|(?:public|private|static) \w+|function\s*\w*\s*\(|(?:const|let|var) \w+\s*=|int main\b|package \w+"
    r"|(?:select|create table|insert into|update|delete from)\s.+|<!doctype html|<html|<\?php"
    r"|for \w+ in .+:\s*$|while .+:\s*$|if .+:\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_WANTS_CODE = re.compile(
    r"\b(?:code|coding|program|function|script|algorithm|class|method|quer(?:y|ies)|sql|html|css|regex|python"
    r"|java(?:script)?|c\+\+|implement)\b",
    re.IGNORECASE,
)
# It is given code, not asked for it.
_HAS_CODE = re.compile(
    r"\b(?:this|the|following|given|provided|attached) (?:\w+ )?(?:code|function|program|script|query)\b"
    r"|\bcode (?:below|above)\b",
    re.IGNORECASE,
)
# The task speaks of something that it does not hold: without an input it cannot be done.
_NEEDS_MATERIAL = re.compile(
    r"\b(?:given|following|provided|below|above|attached|supplied|input)\b|\bthe (?:sentence|text|passage"
    r"|paragraph|article|e-?mail|review|code|poem|conversation|dialogue|speaker|document|message)s?\b"
    r"|\b(?:this|these|those) (?:sentence|text|passage|paragraph|article|e-?mail|review|word|number|list"
    r"|array|string|table|code|poem|story|conversation|dialogue|speaker|data|dataset|tweet|post|message|document"
    r"|question|option|statement|expression|equation|program|function|series|sequence|set)s?\b",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.!?…。！？:;)\]}>\"”’'`*|%\d]\s*\Z")
_SHORT_LAST_LINE = 6
"""Words of a last line that may well be an item of a list and have no full stop."""


@dataclass(frozen=True, slots=True)
class _Section:
    """The text behind a marker, up to the next one. The kind is "" for what stands before the first."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Pair:
    """An input and an output on their way to an instance; `reason` where their form speaks against them."""

    given: str
    output: str
    reason: Reason | None = None


def instances(request_id: str, completion: Completion, asked: AskedInstances) -> ParsedInstances:
    """Read the instances of a task; see `InstanceParser`. Of a reply that was cut, the last is left out."""
    text, ran_on = _own_part(said(completion.text), asked.instruction)
    pairs = _pairs(text, asked)
    if not pairs:
        return ParsedInstances((), (whole_reply(request_id, completion.text, Reason.NO_OUTPUT),))
    judged: list[tuple[Instance, Reason | None]] = []
    for pair in pairs:
        instance = Instance(input=_input(pair.given), output=pair.output)
        reason = pair.reason or objection(instance)
        if reason is None and asked.output_first and pair.given == _LEFT_EMPTY:
            reason = Reason.EMPTY_INPUT
        judged.append((instance, reason))
    if completion.truncated and not ran_on:
        judged[-1] = (judged[-1][0], Reason.TRUNCATED)
    return keep(request_id, judged, limit=asked.limit, conflict_without_input=asked.output_first)


def objection(instance: Instance) -> Reason | None:
    """What speaks against an instance by itself."""
    if says_nothing(instance.output):
        return Reason.EMPTY_OUTPUT
    if folded(instance.output) == folded(instance.input):
        return Reason.OUTPUT_EQUALS_INPUT
    if is_refusal(instance.output):
        return Reason.REFUSAL
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
    return _RULE.sub("", text[begin:end]).strip(), bool(ends)


# ── from text to pairs ───────────────────────────────────────────────────────────────────────────────────


def _pairs(text: str, asked: AskedInstances) -> list[_Pair]:
    kinds = {_kind(marker) for marker in _MARKER.finditer(text)}
    if asked.output_first:
        # "Category: …" may be a field of an input; it is a label only where nothing says "Class label".
        for label in ("label", "loose_label"):
            if label in kinds:
                return _labelled(text, label)
    blocks = _blocks(text)
    if any(_has_output(block) for block in blocks):
        return [pair for block in blocks for pair in _block_pairs(block, asked.instruction)]
    if asked.output_first:
        return []
    if len(blocks) > 1:
        return [_unmarked(block, asked.instruction) for block in blocks]
    if not text or not blocks or is_refusal(text):
        return []
    return [_unmarked(blocks[0], asked.instruction)]


def _kind(marker: re.Match[str]) -> str:
    return next(kind for kind in _WORDS_OF if marker[kind])


def _sections(text: str, *kinds: str) -> list[_Section]:
    """The text at its inputs and outputs, and at its labels of a kind that is named in `kinds`."""
    wanted = {"input", "output", *kinds}
    marks = [mark for mark in _MARKER.finditer(text) if _kind(mark) in wanted]
    sections = [_Section("", text[: marks[0].start()] if marks else text)]
    for mark, end in zip(marks, [*[m.start() for m in marks[1:]], len(text)], strict=False):
        sections.append(_Section(_kind(mark), text[mark.end() : end].strip()))
    return sections


def _has_output(block: str) -> bool:
    return any(
        (section.kind == "output" and section.text)
        or (section.kind == "input" and _inline_output(section.text))
        for section in _sections(block)
    )


def _inline_output(text: str) -> re.Match[str] | None:
    """The marker of an output that stands in the one line of its input."""
    return None if "\n" in text else _INLINE_OUTPUT.search(text)


def _blocks(text: str) -> list[str]:
    """The text split at "Example 1", "Example 2" and so on, where these are headings."""
    headings = [
        heading
        for heading in _HEADING.finditer(text)
        # "Example 2: the same in green" may be prose, and so may "Example 2" where an answer speaks of it.
        if not heading["rest"]
        or ":" in heading[0]
        or "：" in heading[0]
        or _MARKER.match(heading["rest"])
    ]
    if not headings:
        return [text]
    starts = [heading.start("rest") for heading in headings]
    ends = [*[heading.start() for heading in headings[1:]], len(text)]
    first = text[: headings[0].start()].strip()
    blocks = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    marked = [_MARKER.search(block) is not None for block in blocks]
    if _has_output(first) and not all(marked):
        return [text]  # inside of an output, the examples are a part of it
    if any(marked) and not _has_output(first):
        first = ""  # an announcement
    return [block for block in (first, *blocks) if block]


def _block_pairs(block: str, instruction: str) -> list[_Pair]:
    """Pairs of one example: what comes before an output is its input."""
    lead, *sections = _sections(block)
    pairs: list[_Pair] = []
    given: str | None = _PREFACE.sub("", lead.text.strip(), count=1).strip() or None
    if not sections:
        return [_Pair(given or "", "", Reason.NO_OUTPUT)]
    belongs_to_input = given is not None and (_FIELD.match(given) or _CODE.match(given))
    if sections[0].kind == "input" and not belongs_to_input:
        given = None  # an announcement
    is_answer = given is not None and _CODE.match(given) and _asks_for_code(instruction)
    for section in sections:
        if section.kind == "input":
            inline = _inline_output(section.text)
            if inline is not None:
                before, after = section.text[: inline.start()], section.text[inline.end() :]
                pairs.append(_Pair(before.strip(), after.strip()))
            elif given is not None and not pairs and belongs_to_input:
                given = f"{given}\n{section.text}"
            else:
                if given is not None:
                    pairs.append(_Pair(given, "", Reason.NO_OUTPUT))
                given = section.text
        elif is_answer and not pairs:
            # The code that was asked for, and what it prints: neither is the other's input.
            pairs.append(_Pair(given or "", section.text, Reason.AMBIGUOUS_FORMAT))
            given = None
        elif given is None and pairs and pairs[-1].given:
            # One input and two outputs: which one is meant?
            pairs.append(_Pair("", section.text, Reason.AMBIGUOUS_FORMAT))
        else:
            pairs.append(_Pair(given or "", section.text))
            given = None
    if given is not None:
        pairs.append(_Pair(given, "", Reason.NO_OUTPUT))
    return pairs


def _labelled(text: str, label_kind: str) -> list[_Pair]:
    """Pairs of a label and what follows it; or precedes it, where the inputs come first."""
    headings = [heading.span() for heading in _HEADING.finditer(text) if not heading["rest"]]
    for start, end in reversed(headings):
        text = text[:start] + text[end:]
    sections = _sections(text, label_kind)[1:]
    inputs = [section.text for section in sections if section.kind == "input"]
    labels = [_label(section.text) for section in sections if section.kind == label_kind]
    if sections[0].kind == "input" and sections[0].text and not any(rest for _, rest in labels):
        if sections[-1].kind == label_kind and len(inputs) == len(labels):
            return [_Pair(given, label) for given, (label, _) in zip(inputs, labels, strict=True)]
        # Is the first input one too many, or the last one?
        return [_Pair("", label, Reason.AMBIGUOUS_FORMAT) for label, _ in labels]
    pairs: list[_Pair] = []
    for section in sections:
        if section.kind == label_kind:
            label, rest = _label(section.text)
            pairs.append(_Pair(rest, label))
        elif pairs:
            last = pairs[-1]
            known = "" if last.given == _LEFT_EMPTY else last.given
            parts = [part for part in (known, section.text) if part]
            pairs[-1] = _Pair("\n".join(parts) or _LEFT_EMPTY, last.output)
    return pairs


def _label(text: str) -> tuple[str, str]:
    """(label, what stands in the lines below it)."""
    label, _, rest = text.partition("\n")
    return label.strip().strip("*").strip(), rest.strip()


# ── without markers ──────────────────────────────────────────────────────────────────────────────────────


def _unmarked(text: str, instruction: str) -> _Pair:
    """A text without a usable "Output:" as the output, where nothing else can be meant."""
    sections = _sections(text)
    lead = sections[0].text.strip()
    if not any(section.text for section in sections):
        return _Pair("", "", Reason.EMPTY_OUTPUT)
    if any(section.kind == "input" for section in sections):
        # The answer under "Input:", or an input without an answer: nobody can tell.
        return _Pair("", text, Reason.AMBIGUOUS_FORMAT)
    answer = _ANSWER.search(lead)
    if answer is not None:
        before = lead[: answer.start()].strip()
        lead = lead[answer.end() :].strip()
        if before and _CODE.match(before) is None:
            return _checked(before, lead)
    if not lead:
        return _Pair("", "", Reason.EMPTY_OUTPUT)
    if _CODE.match(lead):
        if instruction and not _asks_for_code(instruction):
            return _Pair("", lead, Reason.AMBIGUOUS_FORMAT)
        return _Pair("", lead, None if _is_balanced(lead) else Reason.TRUNCATED)
    lead = _PREFACE.sub("", lead, count=1).strip() or lead
    needs_more = _NEEDS_MATERIAL.search(instruction) or _WANTS_CODE.search(instruction)
    if _FIELD.match(lead) or re.search(r"\b(?:input|output)\b", lead, re.IGNORECASE) or needs_more:
        return _Pair("", lead, Reason.AMBIGUOUS_FORMAT)
    return _checked("", lead)


def _asks_for_code(instruction: str) -> bool:
    return bool(_WANTS_CODE.search(instruction)) and not _HAS_CODE.search(instruction)


def _checked(given: str, output: str) -> _Pair:
    """Nothing says that the text is whole: where its last line breaks off, it is not."""
    last_line = output[output.rfind("\n") + 1 :]
    breaks_off = not _ENDED.search(output) and len(last_line.split()) > _SHORT_LAST_LINE
    return _Pair(given, output, Reason.TRUNCATED if breaks_off else None)


def _is_balanced(code: str) -> bool:
    return all(code.count(left) <= code.count(right) for left, right in ("()", "[]", "{}"))
