r"""Text functions for all parsers: remove reasoning, and detect refusals, echoes and placeholders.

Each parser of the default profile first calls `answer_text`.

    "<think>Let me see. 1. A poem</think>\n\n9. Name a river."   →  " \n\n9. Name a river."
    "<think>Let me see. 9. Name a"                                →  " "
"""

import html
import re

from selfinstruct.pipeline.parse.reasoning import without_reasoning
from selfinstruct.pipeline.parse.types import rejection
from selfinstruct.records import Reason, Rejection

_FENCE = re.compile(r"[ \t]*+```[\w+-]*[ \t]*")
_CLOSING_REMARK = re.compile(
    r"\W*(?:let me know|i hope (?:this|these|that)|hope (?:this|these) helps|feel free to|would you like me"
    r"|do you want me|(?:these|the above) (?:tasks|examples|instructions)\b|happy to (?:help|provide))",
    re.IGNORECASE,
)

_WE_ARE = r"(?:i['’]m|i am|we['’]re|we are)"
_APOLOGY = rf"(?:(?:{_WE_ARE} (?:very |so |really |truly )?)?sorry|my apologies|i apologi[sz]e)"
_UNABLE = (
    r"(?:i|we)(?:['’]m (?:unable|not able) to| (?:cannot|can['’]?t|can not|am unable to|am not able to"
    r"|won['’]t|will not|must decline|do not feel comfortable|don['’]t feel comfortable))"
)
_WHAT = (
    r"(?:help|assist|fulfill?|comply|provide|continue|do that|do this|answer|complete|create|generate|write"
    r"|engage|support|participate|access|view|see|process|open|browse|perform|discuss|share)"
)
# "I'm sorry to hear that your parcel is late" may begin an answer to a customer, so it is not a refusal.
_REFUSAL = re.compile(
    rf"\W*+(?:{_APOLOGY}[\s,.!;:–—-]*+(?:\Z|for the confusion"
    rf"|(?:(?:but|however)[\s,]++)?(?:{_UNABLE}|as an? ai\b|that is not something))"
    r"|(?:i['’]m (?:just |only )?an? ai\b|i am (?:just |only )?an? ai\b|as an? (?:ai|artificial intelligence"
    r"|large language model|language model))(?:[ -](?:language )?(?:model|assistant|system|chatbot))?"
    r"\s*(?:,|\.|;|\Z|i\b|and\b|designed|developed|created|trained)"
    rf"|(?:unfortunately,? |i['’]m afraid )?{_UNABLE} {_WHAT}\b|i must decline\b"
    r"|i (?:do not|don['’]t) have (?:access to|the ability|personal|real-time))",
    re.IGNORECASE,
)

_PLACEHOLDER = re.compile(
    r"[\s\W_]*+(?:no[\s_-]*(?:input|output)s?(?:\s+(?:is )?(?:needed|required|necessary"
    r"|provided|given))?|n\s*/\s*a|not[\s_]applicable|none(?:\s+(?:needed|required|necessary|provided|given))?"
    r"|null|nil|empty|\[?blank\]?)?[\s\W_]*+",
    re.IGNORECASE,
)
_PLACEHOLDER_SIGNS = frozenset(
    {"", "-", "--", "—", "–", "…", "...", ".", "_", '""', "''", "<>", "()"}
)


def answer_text(text: str) -> str:
    """Return a reply's text without its reasoning, and with all line endings as line feeds."""
    return without_reasoning(text.replace("\r\n", "\n").replace("\r", "\n"))


def answer_alone(text: str, begins: re.Pattern[str]) -> str:
    """Return a reply's answer, without a fence around it and a closing remark; see `without_fence`."""
    return without_closing_remark(without_fence(answer_text(text), begins))


def without_fence(text: str, begins: "re.Pattern[str]") -> str:
    """Remove the code fence around a whole reply if the first line inside the fence matches `begins`."""
    lines = text.split("\n")
    opening = next((n for n, line in enumerate(lines) if is_fence(line)), None)
    if opening is None:
        return text
    inside = next((line for line in lines[opening + 1 :] if line.strip()), "")
    closing = next(
        (n for n in range(len(lines) - 1, opening, -1) if lines[n].strip() == "```"), None
    )
    if not begins.match(inside):
        return text
    return "\n".join(line for n, line in enumerate(lines) if n not in (opening, closing))


def is_fence(line: str) -> bool:
    """Return whether a line contains only a code fence."""
    return _FENCE.fullmatch(line) is not None


def is_closing_remark(line: str) -> bool:
    """Return whether a line is a closing remark to the user, such as "Let me know if you need more!"."""
    return _CLOSING_REMARK.match(line) is not None


def without_closing_remark(text: str) -> str:
    """Remove the last paragraph of a text if it is a closing remark to the user."""
    before, _, last = text.rstrip().rpartition("\n")
    above = before.rpartition("\n")[2]
    return before.rstrip() if before and not above.strip() and is_closing_remark(last) else text


def is_refusal(text: str) -> bool:
    """Return whether a text begins with a refusal, such as "I'm sorry, but I can't help"."""
    return _REFUSAL.match(text) is not None


def is_placeholder(text: str) -> bool:
    """Return whether a text only says that a field is empty, such as "<noinput>", "N/A", "None" or a dash."""
    stripped = html.unescape(text).strip()  # "&lt;noinput&gt;"
    if stripped in _PLACEHOLDER_SIGNS:
        return True
    return any(map(str.isalpha, stripped)) and _PLACEHOLDER.fullmatch(stripped) is not None


def says_no_input(text: str) -> bool:
    """Return whether an input says that no input is needed, such as "<noinput>" or "No input needed"."""
    return is_placeholder(text) and "input" in text.casefold()


def is_none(text: str) -> bool:
    """Return whether a text is just the word "none", which may be a class label."""
    return re.fullmatch(r"\W*none\W*", text, re.IGNORECASE) is not None and text.strip()[:1] != "<"


def folded(text: str) -> str:
    """Return a text in a comparable form: case-folded, with single spaces between words."""
    return " ".join(text.casefold().split())


def comparable(instruction: str) -> str:
    """Return an instruction in a form that can be compared with a demonstration.

    Prompts show demonstrations without a final colon, so the colon is removed here too.
    """
    return folded(instruction).rstrip(":")


def whole_reply(request_id: str, text: str, otherwise: Reason) -> Rejection:
    """Return the rejection of a whole reply, which contains no items.

    The reason is that the reply is empty or a refusal. If it is neither, the reason is `otherwise`.
    """
    rest = answer_text(text).strip()
    reason = Reason.REFUSAL if is_refusal(rest) else otherwise
    if not rest:
        reason = Reason.EMPTY_REPLY
    return rejection(request_id, 0, reason, text.strip())
