r"""Yes, no, or unclear: is the task a classification task?

A clear yes or no at the start counts, whatever follows it. What a chat model says when it takes the prompt
for the beginning of a conversation is unclear, even where it begins with a yes.

    "Yes."  "No\n\nTask: …"  "No, it asks for a poem."      →  yes, no, no
    "continue"  "Sure, go ahead."  "Yes, I can help."  ""    →  unclear
"""

import re

from selfinstruct.pipeline.parse.cleanup import folded, said
from selfinstruct.records import Answer, Completion

_ANSWER = re.compile(
    r"[\W_]*+(?:\d{1,2}[.)][\W_]*+)?(?:boxed\{|is (?:it|this) (?:a )?classification(?: task)?[\W_]*+)?"
    r"(?:(?:the )?answer\s*+(?:is|:)[\W_]*+)?(?P<answer>yes|no)\b"
    r"(?![ \t]*+[/|])"  # "Yes/No" repeats the choice
    r"(?=[^\w\s]|\s*+\Z|[ \t]*+[\r\n]|[ \t]++[^\w\s]"
    r"|\s++(?:it|it['’]s|this|that|the|because|since|as)\b)",
    re.IGNORECASE,
)
# What is said to a person who is waiting for an answer, or to nobody: no answer itself.
_CONVERSATION = re.compile(
    r"[ \t,.!:;(–—-]++(?:(?:(?:i|we) (?:can|could|will|would|may) (?:help|do|assist|answer|continue"
    r"|provide|try|certainly|definitely|surely|gladly|also)|(?:i|we) (?:can['’]?t|cannot)"
    r"|(?:i|we) (?:am|are|understand)|you (?:can|could|may)"
    r"|(?:i|we|you)['’](?:m|re|ll|d|ve)|sure\b(?!ly)|please|go ahead|continue|feel free|let me|let['’]s"
    r"|how (?:can|may)|what (?:would|can|do|is|['’]?s)|problem|worries|idea|need|or (?:no|yes)|thanks?"
    r"|of course\W++(?:what|how|i|feel|please|go|let))\b|[^\w\ufffd]*+\ufffd)",
    re.IGNORECASE,
)


def answer(completion: Completion, *, instruction: str = "") -> Answer:
    """Read the answer; see `AnswerParser`. With the instruction, a repeated question is skipped."""
    text = _after_echo(said(completion.text), instruction)
    match = _ANSWER.match(text)
    if match is None or _CONVERSATION.match(text, match.end()):
        return "unclear"
    return "yes" if match["answer"].lower() == "yes" else "no"


def _after_echo(text: str, instruction: str) -> str:
    """What follows the question about this very task, where the reply repeats it."""
    if not instruction:
        return text
    lines = text.splitlines(keepends=True)
    task = folded(f"Task: {instruction}")
    for place in range(len(lines) - 1, -1, -1):
        if folded(lines[place]) == task:
            question, mark, rest = "".join(lines[place + 1 :]).partition("?")
            return rest if mark and "\n" not in question.strip() else "".join(lines[place + 1 :])
    return text
