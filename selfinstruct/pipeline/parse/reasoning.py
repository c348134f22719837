r"""Remove reasoning and control tokens from replies.

    "<think>Let me see. 1. A poem</think>\n\n9. Name a river."                   →  "9. Name a river."
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>9. Name a river."
                                                                                  →  "9. Name a river."
    "Thinking Process:\n\n1. **Analyze the request**"                             →  ""

A server removes reasoning only if its reasoning parser is switched on. Otherwise the reply contains the
reasoning and its markers as text. The markers in `reasoning_markers.txt` were collected from chat templates
and from the reasoning parsers of vLLM and llama.cpp.
"""

import re
from pathlib import Path

_MARKERS = [
    line.partition("  # ")[0].split()
    for line in Path(__file__)
    .with_name("reasoning_markers.txt")
    .read_text("utf-8")
    .splitlines()[1:]
]
"""Kind, opening marker and closing marker of each pair in `reasoning_markers.txt`."""
_PAIRS = [(opening, closing) for kind, opening, closing in _MARKERS if kind == "reasoning"]
"""Markers around reasoning, which may be anywhere in a reply."""
_ANSWERS = [(opening, closing) for kind, opening, closing in _MARKERS if kind == "answer"]
"""Markers around the answer that follows the reasoning."""
_TAGS = "thoughts?|reasoning|reflection|analysis|scratchpad|inner_monologue"
"""Tags around reasoning at the start of a reply, used by EXAONE Deep, Marco-o1 and many prompts. Elsewhere in
a reply such tags are kept, because a task may have asked for them."""

# A tag in quotation marks is part of the text, not a marker.

_QUOTE = "`\"'“”"
_CLOSING = "|".join(re.escape(closing) for _, closing in _PAIRS if closing != "<|end_message|>")
_REASONING = re.compile(
    rf"(?<![{_QUOTE}])(?:"
    + "|".join(
        rf"{re.escape(opening)}(?![{_QUOTE}]).*?(?:{re.escape(closing)}|\Z)"
        for opening, closing in _PAIRS
    )
    + ")",
    re.DOTALL | re.IGNORECASE,
)
_END_OF_REASONING = re.compile(rf"(?<![{_QUOTE}])(?:{_CLOSING})(?![{_QUOTE}])", re.IGNORECASE)
_TAGGED = re.compile(rf"\s*+<({_TAGS})>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(
    r"\s*+(?:"
    + "|".join(
        rf"{re.escape(opening)}(?P<a{n}>.*?)(?:{re.escape(closing)}|\Z)"
        for n, (opening, closing) in enumerate(_ANSWERS)
    )
    + ")",
    re.DOTALL | re.IGNORECASE,
)

# The harmony format of gpt-oss: "<|channel|>final <|constrain|>json<|message|>…".
_CHANNEL = "<|channel|>"
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^\n]{0,100}?<\|message\|>")
# The harmony format if the server removes its special tokens: "analysisWe need …assistantfinal9. Name …".
_BARE_ANALYSIS = re.compile(r"\A\s*analysis(?=[A-Z\"'“*\d])")
_BARE_FINAL = re.compile(r"assistant\s*final(?=\W|[A-Z\d])")

# Reasoning without tags at the start of a reply (Qwen 3.5 with its reasoning parser off, Granite 3.2).
_HEADED = re.compile(
    r"[\s#*_]*+(?:here(?: is|['’]s) my |my )?(?:thinking|thought|reasoning) process"
    r"[ \t]*+(?:\*\*|__)?[ \t]*+(?:[:：]|\n)",
    re.IGNORECASE,
)
_HEADED_ANSWER = re.compile(
    r"^[ \t#*_]*+(?:here(?: is|['’]s) my (?:response|answer)|(?:final|actual) (?:answer|response|output))"
    r"[ \t]*+(?:\*\*|__)?[ \t]*+[:：](?:\*\*|__)?",
    re.IGNORECASE | re.MULTILINE,
)

# Tokens that end a turn or begin the next turn. The text after such a token is not part of the reply.
_END_OF_TURN = re.compile(
    r"<\|(?:eot_id|im_end|im_start|end|endoftext|end_of_text|eom_id|eot|end_of_turn|return|call|start|channel|user"
    r"|END_OF_TURN_TOKEN|END_RESPONSE|start_header_id|end_message)\|>.*\Z"
    r"|<(?:end_of_turn|start_of_turn|eos|turn\||\|turn)>.*\Z|<｜(?:end▁of▁sentence|User)｜>.*\Z|\[INST\].*\Z"
    r"|</(?:s|answer)>\s*\Z",
    re.DOTALL,
)
# Tokens that begin a turn and that some servers do not remove.
_START_OF_TURN = re.compile(
    r"\A\s*+(?:<\|im_start\|>assistant\b|<\|start\|>assistant\b|<\|assistant\|>|<｜Assistant｜>"
    r"|<\|start_header_id\|>assistant<\|end_header_id\|>|<start_of_turn>model\b|<\|turn>model\b"
    r"|<\|message_model\|>|<\|CHATBOT_TOKEN\|>|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>)+"
)

_MARKER = re.compile(
    r"<[|｜][^\s<>|｜]{1,40}[|｜]>"  # <|im_start|>, <｜User｜>
    r"|<\|(?:channel|turn|think|tool\w{0,20})>|<(?:channel|turn|tool\w{0,20})\|>"  # Gemma 4
    r"|<(?:start|end)_of_turn>|<(?:bos|eos)>|<unused\d+>|\[/?INST\]|<</?SYS>>"
    rf"|</?(?:think|thinking|seed:think|{_TAGS})>|\[/?THINK\]|◁/?think▷",
    re.IGNORECASE,
)


def without_reasoning(text: str) -> str:
    """Return the answer in a reply, without reasoning and turn tokens.

    If the reasoning is unfinished, there is no answer, and the result is empty or blank.
    """
    if _CHANNEL in text:
        answer = _after_last(_FINAL, text)
    elif (bare := _BARE_ANALYSIS.match(text)) is not None:
        answer = _after_last(_BARE_FINAL, text[bare.end() :])
    elif _HEADED.match(text) and not _END_OF_REASONING.search(text):
        answer = _after_last(_HEADED_ANSWER, text)
    else:
        answer = _outside_tags(_START_OF_TURN.sub("", text))
    return _END_OF_TURN.sub("", answer)


def _after_last(marker: re.Pattern[str], text: str) -> str:
    """Return the text after the last match of an answer marker, or "" without a match."""
    matches = list(marker.finditer(text))
    return text[matches[-1].end() :] if matches else ""


def _outside_tags(text: str) -> str:
    # A space in place of the reasoning separates the words before and after it.
    text, removed = _REASONING.subn(" ", text)
    # If the chat template puts the opening marker in the prompt, the reply has only the closing marker.
    end = _END_OF_REASONING.search(text) or _TAGGED.match(text)
    if end is not None:
        text = text[end.end() :]
    if removed or end is not None or text.lstrip().startswith("<|"):
        # This branch runs only after reasoning. Otherwise the task may have asked for <answer> or <output>.
        answer = _ANSWER.match(text)
        if answer is not None:
            return next(group for group in answer.groups() if group is not None)
    return text


def has_markers(text: str) -> bool:
    """Return whether a text contains a control token or a reasoning tag, even in quotation marks.

    A tokenizer would turn a control token in training data into a special token, even if the text only quotes
    it.
    """
    if "<" not in text and "[" not in text and "◁" not in text:
        return False
    return _MARKER.search(text) is not None or text.count("</s>") > text.count("<s>")
