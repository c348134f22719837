r"""Parser for numbered lists of instructions, in the formats that current models write.

    "9. Name three rivers.\n10. **Poems:** Write a poem.\n\nLet me know if you want more!"
    →  "Name three rivers."   "Poems: Write a poem."

A base model continues after the "9." at the end of its prompt, so its first item has no number. Chat models
announce the list, number it from 1 or from 9, write titles in bold, repeat the demonstrations, add an input
under a task, append a second list, and end with a remark to the user. The parser keeps only the instructions.
"""

import json
import re
from dataclasses import dataclass, field

from selfinstruct.pipeline.parse import shared
from selfinstruct.pipeline.parse.types import AskedList, ParsedList, rejection
from selfinstruct.records import Candidate, Completion, Reason, Rejection

# "9. Name …", "10) Name …", "**11.** Name …", "- 12. Name …", "Task 13: Name …", "(14) Name …", "15.Name …",
# "１６．Name …", "17、Name …", "9️⃣ Name …"
_NUMBERED = re.compile(
    r"^\s*+(?:[-*•]\s++)?(?:#{1,6}\s++)?(?:\*\*)?(?:(?:task|instruction)\s++)?\(?(\d{1,4})\s*+"
    r"(?:[.):](?:\*\*)?(?:\s++|$|(?=[^\W\d_]))|[、．）：](?:\*\*)?\s*+|\ufe0f?\u20e3\s*+)(.*)$",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^[-*•–]\s+(\S.*)$")
# The next item's number inside the text of an item: "… the sea. 10. Name …".
_NUMBER_INSIDE = re.compile(
    r"(?<=[.?!:;)\"”'»。？！])\s+(?:\*\*)?([0-9]{1,4})[.)](?:\*\*)?(?=\s+\S)"
)

_MAX_SKIPPED = 8
"""Maximum number of missing numbers between two items. After a larger gap, a number is part of the text."""

# A line under a task that is part of an example, or of the list's layout.
_NOT_THE_TASK = re.compile(
    r"^\s*+(?:[-*•]\s++)?(?:\*\*)?(?:(?:example\s++)?(?:input|output)|class label)s?\s*+(?:\d++\s*+)?"
    r"(?:\*\*)?\s*+[:：]|^\s*+(?:#{2,}|-{3,}|={3,}|\*{3,})\s*+$"
    # a section heading: "### Maths", "**Coding**"
    r"|^\s*+#{1,6}\s++\S|^\s*+\*\*[^*.?!]{1,60}\*\*\s*+$",
    re.IGNORECASE,
)
_INLINE_EXAMPLE = re.compile(r"(?<=[.?!。？！])\s+(?:\*\*)?(?:Input|Output)(?:\*\*)?:\s")

# A list's heading that is repeated as an item: "10. Come up with a series of tasks:".
_HEADING = re.compile(
    r"come up with a series of (?:\w+ )?tasks\W*$"
    r"|(?:here (?:are|is)|below (?:are|is)|the following are)\b"
    r".*\b(?:tasks|instructions|examples|list)\b.*:$",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^(?:task|instruction)\s*:\s*", re.IGNORECASE)
_BOLD = re.compile(r"(?<![\w*])\*\*(?=[^\s*])(.{1,300}?)(?<=[^\s*])\*\*(?![\w*])")
_ITALIC = re.compile(r"\A(?P<mark>[*_])(?=\S)([^*_]+)(?<=\S)(?P=mark)\Z")
_SENTENCE = re.compile(r"\s*+\S+(?:\s++\S+){3,}?[.?!。？！]\s*+")
_BOLD_END = re.compile(r"(?<=\S)\*\*(?=\s|$)")
_SMALL_TALK = re.compile(
    r"\W*(?:(?:sure|certainly|of course|absolutely|okay|ok|got it|understood|great|thanks|thank you|hello|hi)"
    r"\s*[,.!:;–—-]|here (?:is|are)\b|what would you like|how (?:can|may) i (?:help|assist)|let me know\b"
    r"|i(?:['’]ll| will) (?:continue|go on|add|write|give|create|generate|provide|list|make)\b"
    r"|i(?:['’]ve| have) (?:written|created|made|come up|added|listed|prepared|put)\b)",
    re.IGNORECASE,
)


_BEGINS = re.compile(rf"{_NUMBERED.pattern}|^[-*•–]\s|^\s*\[", re.IGNORECASE)
"""Matches the first line inside a code fence if the fence contains a list."""


@dataclass
class _Item:
    """An item of a list: its number in the reply, and its lines."""

    number: int
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return _tidy(" ".join(self.lines))


def instructions(request_id: str, completion: Completion, asked: AskedList) -> ParsedList:
    """Parse a list of instructions; see `ListParser`.

    The list may begin at any number. The numbers must increase, but a few may be missing. A line without a
    number continues the item above it, unless the line is part of an example. A blank line ends an item. A
    second list is ignored. Repeated demonstrations and the last item of a truncated reply are rejected.
    """
    text = shared.answer_text(completion.text).replace("<br>", "\n")
    items, is_open = _items(shared.without_fence(text, _BEGINS), asked)
    if not items or (len(items) == 1 and shared.is_refusal(items[0].text)):
        reason = Reason.REFUSAL if items else Reason.NO_LIST
        return ParsedList((), (shared.whole_reply(request_id, completion.text, reason),))
    echoes = _echoes(items, text, asked)
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    for n, item in enumerate(items, start=1):
        if n == len(items) and completion.truncated and is_open:
            rejections.append(rejection(request_id, n, Reason.TRUNCATED, item.text))
        elif n <= echoes or _is_echo(item.text, asked):
            rejections.append(rejection(request_id, n, Reason.ECHO, item.text))
        else:
            candidates.append(Candidate(id=f"{request_id}#{n}", instruction=item.text))
    return ParsedList(tuple(candidates), tuple(rejections))


def _items(text: str, asked: AskedList) -> tuple[list[_Item], bool]:
    """Return a list's items, and whether the last item is open, that is, whether no other text follows it."""
    lines = text.splitlines()
    numbered, is_open = _numbered_items(lines, asked)
    if not numbered:
        others = _json_items(text) or _bulleted_items(lines, asked) or _sentences(lines)
        return others or [p for i in _single_item(text, asked) for p in _split(i, None)], True
    bullets = _bullets_after_echo(lines, numbered, asked)
    if bullets:
        return [*numbered, *bullets], True
    following = [*(item.number for item in numbered[1:]), None]
    parts = map(_split, numbered, following)
    return [part for split in parts for part in split], is_open


def _numbered_items(lines: list[str], asked: AskedList) -> tuple[list[_Item], bool]:
    items: list[_Item] = []
    is_open = False
    is_ended = False
    """True if other text follows the last item."""
    for index, line in enumerate(lines):
        match = _NUMBERED.match(line)
        if match is not None:
            number = int(match[1])
            if not items:
                first = _unnumbered_first_item(lines[:index], number, asked)
                items += [first] if first is not None else []
            expected = items[-1].number + 1 if items else number
            # A list whose numbers start again is part of an item, or a copy of the prompt. Only a number that
            # is expected next continues the outer list.
            if expected <= number <= expected + _MAX_SKIPPED:
                items.append(_Item(number, [match[2]]))
                is_open, is_ended = True, False
            else:
                is_open, is_ended = False, True
        elif not line.strip():
            is_open = False
        elif _NOT_THE_TASK.match(line) or shared.is_closing_remark(line) or shared.is_fence(line):
            is_open, is_ended = False, True
        elif items and line.strip() == str(items[-1].number + 1):
            is_open = False  # the reply was cut after the next number
        elif is_open:
            items[-1].lines.append(line)
        else:
            is_ended = True
    return items, not is_ended


def _unnumbered_first_item(lines: list[str], number: int, asked: AskedList) -> _Item | None:
    """Return the first item if the prompt ends in its number, so that the reply begins with its text.

    `lines` are the lines before the first number in the reply, and `number` is that number.
    """
    continues = asked.continues or (lines[:1] and lines[0][:1] == " ")
    is_next = number == asked.first_number + 1
    is_near = asked.first_number < number <= asked.first_number + _MAX_SKIPPED
    if not is_next and (asked.continues is False or not (is_near or (continues and number == 1))):
        return None
    kept: list[str] = []
    for line in lines:
        if _NOT_THE_TASK.match(line) or (kept and not line.strip()):
            break
        kept += [line] if line.strip() else []
    text = _tidy(" ".join(kept))
    is_announced = text.endswith(":") and asked.continues is not True
    if not text or is_announced or _SMALL_TALK.match(text) or _HEADING.match(text):
        return None
    return _Item(asked.first_number, kept)


def _bulleted_items(lines: list[str], asked: AskedList) -> list[_Item]:
    bullets = [(n, match[1]) for n, line in enumerate(lines) if (match := _BULLET.match(line))]
    if len(bullets) < 2:
        return []
    before = " ".join(lines[: bullets[0][0]]).strip()
    if asked.continues is not False and before and not _SMALL_TALK.match(before):
        return []  # the bullets are parts of one task or of its answer, such as "Plan my week:" and its days
    return [_Item(n, [text]) for n, (_, text) in enumerate(bullets, start=1)]


def _bullets_after_echo(lines: list[str], echo: list[_Item], asked: AskedList) -> list[_Item]:
    """Return the bulleted tasks that follow a numbered list, if that list only repeats the demonstrations."""
    if not asked.demonstrations or not all(_is_echo(_tidy(i.lines[0]), asked) for i in echo):
        return []
    last = max(n for n, line in enumerate(lines) if _NUMBERED.match(line))
    bullets = _bulleted_items(lines[last + 1 :], asked)
    if bullets:
        echo[-1].lines = echo[-1].lines[:1]  # removes the bullets, which follow the first line
    first = max(echo[-1].number + 1, asked.first_number)
    return [_Item(n, bullet.lines) for n, bullet in enumerate(bullets, first)]


def _json_items(text: str) -> list[_Item]:
    """Return the items of a reply that is a JSON list of strings, or of objects with an instruction."""
    if text.lstrip()[:1] != "[":
        return []
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return []
    texts = [
        entry.get("instruction", entry.get("task")) if isinstance(entry, dict) else entry
        for entry in entries
    ]
    if not all(isinstance(entry, str) and entry.strip() for entry in texts):
        return []
    return [_Item(n, [str(entry)]) for n, entry in enumerate(texts, start=1)]


def _sentences(lines: list[str]) -> list[_Item]:
    """Return the items of a list without numbers, which must have at least three lines, each a sentence."""
    sentences = [line for line in lines if line.strip() and not shared.is_closing_remark(line)]
    if sentences and _SMALL_TALK.match(sentences[0]):
        del sentences[0]
    if len(sentences) < 3 or not all(_SENTENCE.fullmatch(line) for line in sentences):
        return []
    return [_Item(n, [line]) for n, line in enumerate(sentences, start=1)]


def _single_item(text: str, asked: AskedList) -> list[_Item]:
    """Return a reply without numbers as a single item, unless it is a chat model's reply."""
    if asked.continues is False:
        return []
    paragraph = text.strip().split("\n\n")[0]
    lines = paragraph.splitlines()
    if not paragraph or _SMALL_TALK.match(paragraph) or _tidy(lines[0]).endswith((":", "：")):
        return []
    end = next((n for n, line in enumerate(lines) if n and _NOT_THE_TASK.match(line)), len(lines))
    return [_Item(asked.first_number, lines[:end])]


def _split(item: _Item, following: int | None) -> list[_Item]:
    """Split an item at each next number inside its text, if the number follows the end of a sentence.

    `following` is the number of the next item in the list, or None. The item is not split at this number.
    """
    items = [item]
    text = " ".join(item.lines)
    begin = 0
    for match in _NUMBER_INSIDE.finditer(text):
        number = items[-1].number + 1
        if number == following:
            break
        if match[1] == str(number) and text[begin : match.start()].strip():
            items[-1].lines = [text[begin : match.start()]]
            begin = match.end()
            items.append(_Item(number, [text[begin:]]))
    return items


def _tidy(text: str) -> str:
    """Return an instruction on one line, without the formatting, labels and examples that models add."""
    text = " ".join(text.split())
    text = _INLINE_EXAMPLE.split(text, maxsplit=1)[0]
    text = _BOLD.sub(r"\1", text)
    if text.count("**") == 1:
        text = _BOLD_END.sub("", text)  # the opening "**" came before the number
    text = _ITALIC.sub(r"\2", text)
    text = _LABEL.sub("", text) or text
    inner = text[1:-1]
    if len(text) > 2 and text[0] == text[-1] == '"' and '"' not in inner:
        text = inner.strip()
    return text


def _is_echo(text: str, asked: AskedList) -> bool:
    if _HEADING.match(text):
        return True
    return shared.comparable(text) in map(shared.comparable, asked.demonstrations or ())


def _echoes(items: list[_Item], text: str, asked: AskedList) -> int:
    """Return how many items at the start of the list repeat the prompt's demonstrations."""
    demonstrations = asked.first_number - 1
    if items[-1].number <= demonstrations:
        return 0
    if asked.demonstrations:
        # A prompt may have numbered rules before its list, and a reply may repeat these rules too.
        last = (demonstrations, shared.comparable(asked.demonstrations[-1]))
        ends = [n for n, i in enumerate(items, 1) if (i.number, shared.comparable(i.text)) == last]
        if ends:
            return ends[-1]
    # If a base model writes a heading and a list from 1 that is longer than the list of demonstrations, the
    # list begins with the demonstrations, perhaps reworded. A chat model may number its new tasks from 1, so
    # its lists are not treated like this.
    heading = text.lstrip().partition("\n")[0].rstrip()
    if asked.continues is False or items[0].number != 1 or not heading.endswith((":", "：")):
        return 0
    return sum(i.number <= demonstrations for i in items)
