r"""What every reply is read through first: thoughts are taken out; refusals, echoes, empty words recognised.

"<think>Let me see. 1. A poem</think>\n\n9. Name a river."   →  "\n\n9. Name a river."
"<think>Let me see. 9. Name a"                                →  ""
"""

import re

from selfinstruct.parse.found import rejection
from selfinstruct.records import Reason, Rejection

# Not where the tag is quoted: then a task is about it.
_THOUGHTS = re.compile(
    r"(?<![`\"'“])<(think|thinking)>(?![`\"'”]).*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE
)
_END_OF_THOUGHTS = re.compile(r"</think(?:ing)?>[ \t]*(?=[\r\n]|\Z)", re.IGNORECASE)

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
    rf"\W*+(?:{_APOLOGY}[\s,.!;:–—-]*+(?:but\b|however\b|\Z|{_UNABLE}|as an ai\b|for the confusion)"
    r"|as an? (?:ai|artificial intelligence|large language model|language model)"
    r"(?:[ -](?:language )?(?:model|assistant|system|chatbot))?"
    r"\s*(?:,|\.|;|\Z|i\b|designed|developed|created|trained)"
    rf"|(?:unfortunately,? )?{_UNABLE} {_WHAT}\b)",
    re.IGNORECASE,
)

_NOTHING = re.compile(
    r"[\s\W_]*+(?:no[\s_-]*(?:input|output)s?(?:\s+(?:needed|required|necessary|provided|given))?"
    r"|n\s*/\s*a|not[\s_]applicable|none|null|nil|empty|\[?blank\]?)?[\s\W_]*+",
    re.IGNORECASE,
)
_SIGNS_THAT_MEAN_NOTHING = frozenset(
    {"", "-", "--", "—", "–", "…", "...", ".", "_", '""', "''", "<>", "()"}
)


def said(text: str) -> str:
    """The text without what a model thinks aloud; of thoughts without an end, nothing remains."""
    # A space, since the words on both sides must stay two.
    text = _THOUGHTS.sub(" ", text)
    # Where the prompt's own template has opened the thoughts, the reply begins inside of them.
    end = _END_OF_THOUGHTS.search(text)
    return text[end.end() :] if end is not None else text


def is_refusal(text: str) -> bool:
    """Whether the text begins as models do that decline."""
    return _REFUSAL.match(text) is not None


def says_nothing(text: str) -> bool:
    """Whether a field stands empty in words: "<noinput>", "N/A", "None", a dash."""
    stripped = text.strip()
    if stripped in _SIGNS_THAT_MEAN_NOTHING:
        return True
    return any(map(str.isalpha, stripped)) and _NOTHING.fullmatch(stripped) is not None


def is_none(text: str) -> bool:
    """Whether a field says "none": nothing is given, but it may be a label."""
    return re.fullmatch(r"\W*none\W*", text, re.IGNORECASE) is not None and text.strip()[:1] != "<"


def folded(text: str) -> str:
    """For comparing: without case, without white space at the ends, one space between words."""
    return " ".join(text.casefold().split())


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
