r"""What every reply is read through first: thoughts are taken out; refusals, echoes, empty words recognised.

Knows nothing of lists, answers or instances; their readers begin with `said`.

    "<think>Let me see. 1. A poem</think>\n\n9. Name a river."   →  " \n\n9. Name a river."
    "<think>Let me see. 9. Name a"                                →  " "
"""

import html
import re

from selfinstruct.pipeline.parse.reasoning import without_reasoning
from selfinstruct.pipeline.parse.types import rejection
from selfinstruct.records import Reason, Rejection

_FENCE = re.compile(r"[ \t]*+```[\w+-]*[ \t]*")
_GOODBYE = re.compile(
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
# Not "I'm sorry to hear that your parcel is late", which an answer to a customer may begin with.
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

_NOTHING = re.compile(
    r"[\s\W_]*+(?:no[\s_-]*(?:input|output)s?(?:\s+(?:is )?(?:needed|required|necessary"
    r"|provided|given))?|n\s*/\s*a|not[\s_]applicable|none(?:\s+(?:needed|required|necessary|provided|given))?"
    r"|null|nil|empty|\[?blank\]?)?[\s\W_]*+",
    re.IGNORECASE,
)
_SIGNS_THAT_MEAN_NOTHING = frozenset(
    {"", "-", "--", "—", "–", "…", "...", ".", "_", '""', "''", "<>", "()"}
)


def said(text: str) -> str:
    """Return the answer in a reply: without reasoning, with line feeds as its only line ends."""
    return without_reasoning(text.replace("\r\n", "\n").replace("\r", "\n"))


def unfenced(text: str, begins: "re.Pattern[str]") -> str:
    """The text without the code fence around what begins so: a whole reply that is set as code."""
    lines = text.split("\n")
    opening = next((n for n, line in enumerate(lines) if _FENCE.fullmatch(line)), None)
    if opening is None:
        return text
    inside = next((line for line in lines[opening + 1 :] if line.strip()), "")
    closing = next(
        (n for n in range(len(lines) - 1, opening, -1) if lines[n].strip() == "```"), None
    )
    if not begins.match(inside):
        return text
    dropped = {opening, closing}
    return "\n".join(line for n, line in enumerate(lines) if n not in dropped)


def is_fence(line: str) -> bool:
    """Whether a line opens or closes a block of code, and does nothing else."""
    return _FENCE.fullmatch(line) is not None


def is_goodbye(line: str) -> bool:
    """Whether a line is said to the person, behind the work: "Let me know if you need more!"."""
    return _GOODBYE.match(line) is not None


def without_goodbye(text: str) -> str:
    """The text without a last paragraph that says goodbye."""
    before, _, last = text.rstrip().rpartition("\n")
    above = before.rpartition("\n")[2]
    return before.rstrip() if before and not above.strip() and is_goodbye(last) else text


def is_refusal(text: str) -> bool:
    """Whether the text begins as models do that decline."""
    return _REFUSAL.match(text) is not None


def says_nothing(text: str) -> bool:
    """Whether a field stands empty in words: "<noinput>", "N/A", "None", a dash."""
    stripped = html.unescape(text).strip()  # "&lt;noinput&gt;"
    if stripped in _SIGNS_THAT_MEAN_NOTHING:
        return True
    return any(map(str.isalpha, stripped)) and _NOTHING.fullmatch(stripped) is not None


def says_no_input(text: str) -> bool:
    """Whether an input says that there is none, in so many words: "<noinput>", "No input needed"."""
    return says_nothing(text) and "input" in text.casefold()


def is_none(text: str) -> bool:
    """Whether a field says "none": nothing is given, but it may be a label."""
    return re.fullmatch(r"\W*none\W*", text, re.IGNORECASE) is not None and text.strip()[:1] != "<"


def folded(text: str) -> str:
    """For comparing: without case, without white space at the ends, one space between words."""
    return " ".join(text.casefold().split())


def bare(instruction: str) -> str:
    """An instruction for comparing with demonstrations, which prompts show without a colon at the end."""
    return folded(instruction).rstrip(":")


def whole_reply(request_id: str, text: str, otherwise: Reason) -> Rejection:
    """The rejection of a reply in which nothing was found."""
    rest = said(text).strip()
    if not rest:
        reason = Reason.EMPTY_REPLY
    elif is_refusal(rest):
        reason = Reason.REFUSAL
    else:
        reason = otherwise
    return rejection(request_id, 0, reason, text.strip())
