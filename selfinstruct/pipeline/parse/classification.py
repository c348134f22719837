r"""Parser for replies to the classification question: the answer is yes, no or unclear.

A clear yes or no at the start of a reply counts, whatever text follows. But a chat model may take the prompt
as the start of a conversation. Such a reply is unclear, even if it begins with "yes".

    "Yes."  "No\n\nTask: …"  "No, it asks for a poem."      →  yes, no, no
    "continue"  "Sure, go ahead."  "Yes, I can help."  ""    →  unclear
"""

import re

from selfinstruct.pipeline.parse.shared import answer_text, folded
from selfinstruct.records import Answer, Completion

_ANSWER = re.compile(
    r"[\W_]*+(?:\d{1,2}[.)][\W_]*+)?(?:boxed\{|is (?:it|this) (?:a )?classification(?: task)?[\W_]*+)?"
    r"(?:(?:the )?answer\s*+(?:is|:)[\W_]*+)?(?P<answer>yes|no)\b"
    r"(?![ \t]*+[/|])"  # "Yes/No" only repeats the question's options
    r"(?=[^\w\s]|\s*+\Z|[ \t]*+[\r\n]|[ \t]++[^\w\s]"
    r"|\s++(?:it|it['’]s|this|that|the|because|since|as)\b)",
    re.IGNORECASE,
)
# Matches the start of a conversation with the user, rather than an answer to the question.
_CONVERSATION = re.compile(
    r"[ \t,.!:;(–—-]++(?:(?:(?:i|we) (?:can|could|will|would|may) (?:help|do|assist|answer|continue"
    r"|provide|try|certainly|definitely|surely|gladly|also)|(?:i|we) (?:can['’]?t|cannot)"
    r"|(?:i|we) (?:am|are|understand)|you (?:can|could|may)"
    r"|(?:i|we|you)['’](?:m|re|ll|d|ve)|sure\b(?!ly)|please|go ahead|continue|feel free|let me|let['’]s"
    r"|how (?:can|may)|what (?:would|can|do|is|['’]?s)|problem|worries|idea|need|or (?:no|yes)|thanks?"
    r"|of course\W++(?:what|how|i|feel|please|go|let))\b|[^\w\ufffd]*+\ufffd)",
    re.IGNORECASE,
)


def answer(completion: Completion, instruction: str = "") -> Answer:
    """Return the answer in a reply; see `AnswerParser`. A repetition of the question is skipped."""
    text = _after_echo(answer_text(completion.text), instruction)
    match = _ANSWER.match(text)
    if match is None or _CONVERSATION.match(text, match.end()):
        return "unclear"
    return "yes" if match["answer"].lower() == "yes" else "no"


def _after_echo(text: str, instruction: str) -> str:
    """Return a reply's text after its repetition of the question about `instruction`.

    If the reply does not repeat the question, return the whole text.
    """
    if not instruction:
        return text
    lines = text.splitlines(keepends=True)
    task = folded(f"Task: {instruction}")
    for n in range(len(lines), 0, -1):
        if folded(lines[n - 1]) == task:
            after = "".join(lines[n:])
            question, mark, rest = after.partition("?")
            return rest if mark and "\n" not in question.strip() else after
    return text
