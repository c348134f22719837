r"""Reasoning and control tokens in a reply: the table of documented markers, and what remains without them.

    "<think>Let me see. 1. A poem</think>\n\n9. Name a river."                   →  "9. Name a river."
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>9. Name a river."
                                                                                  →  "9. Name a river."
    "Thinking Process:\n\n1. **Analyze the request**"                             →  ""

Servers parse reasoning out of replies only where somebody switched that on, so markers arrive as text. The
names in the table are those of the models' chat templates and of the reasoning parsers of vLLM and llama.cpp.
"""

import re

_PAIRS = (
    (
        "<think>",
        "</think>",
    ),  # DeepSeek R1, Qwen 3, GLM, MiniMax, Hunyuan, Nemotron, Phi 4, SmolLM 3
    ("<thinking>", "</thinking>"),  # prompts for Claude, Reflection
    ("[THINK]", "[/THINK]"),  # Magistral
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThinker, Sky-T1
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|THINK_START|>", "<|THINK_END|>"),  # Step-Audio
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),  # Kimi K3
    ("◁think▷", "◁/think▷"),  # Kimi-VL
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ("<|content_thinking|>", "<|end_message|>"),  # Inkling
    ("<|channel>thought", "<channel|>"),  # Gemma 4
    ("<unused94>", "<unused95>"),  # MedGemma
)
"""Markers around reasoning, wherever they are in a reply."""
_TAGS = "thoughts?|reasoning|reflection|analysis|scratchpad|inner_monologue"
"""Tags around reasoning at the beginning of a reply (EXAONE Deep, Marco-o1, many prompts). Elsewhere they may
be markup that a task asked for."""
_ANSWERS = (
    ("<answer>", "</answer>"),  # Hunyuan
    ("<response>", "</response>"),  # ERNIE 4.5
    ("<output>", "</output>"),  # Reflection, Marco-o1
    ("<|begin_of_solution|>", "<|end_of_solution|>"),  # OpenThinker
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),  # Command A
    ("<|START_TEXT|>", "<|END_TEXT|>"),  # Command A
    ("<|open|>response<|sep|>", "<|close|>response<|sep|>"),  # Kimi K3
    ("<|message_model|><|content_text|>", "<|end_message|>"),  # Inkling
)
"""Markers around the answer, behind the reasoning."""

# A quoted tag is what the text is about.
_QUOTE = "`\"'“”"
_OPENING = "|".join(re.escape(opening) for opening, _ in _PAIRS)
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
# The same reply after a server has dropped the tokens: "analysisWe need …assistantfinal9. Name …".
_BARE_ANALYSIS = re.compile(r"\A\s*analysis(?=[A-Z\"'“*\d])")
_BARE_FINAL = re.compile(r"assistant\s*final(?=\W|[A-Z\d])")

# Reasoning without any tag, at the beginning of a reply (Qwen 3.5 with its parser off, Granite 3.2).
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

# Tokens that end a turn, and the beginning of the next turn: nothing behind them belongs to the reply.
_END_OF_TURN = re.compile(
    r"<\|(?:eot_id|im_end|im_start|end|endoftext|end_of_text|eom_id|eot|end_of_turn|return|call|start|channel|user"
    r"|END_OF_TURN_TOKEN|END_RESPONSE|start_header_id|end_message)\|>.*\Z"
    r"|<(?:end_of_turn|start_of_turn|eos|turn\||\|turn)>.*\Z|<｜(?:end▁of▁sentence|User)｜>.*\Z|\[INST\].*\Z"
    r"|</(?:s|answer)>\s*\Z",
    re.DOTALL,
)
# The beginning of a turn, where a server leaves the token in.
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
    """Return the answer in a reply: its final channel, without reasoning and without the tokens of turns.

    Of reasoning that never ends, nothing remains.
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
    """Return what follows the last marker of an answer; "" where there is none: all is reasoning."""
    found = list(marker.finditer(text))
    return text[found[-1].end() :] if found else ""


def _outside_tags(text: str) -> str:
    # A space, since the words on both sides must stay two.
    text, removed = _REASONING.subn(" ", text)
    # Where the prompt's template has opened the reasoning, the reply begins inside of it.
    end = _END_OF_REASONING.search(text) or _TAGGED.match(text)
    if end is not None:
        text = text[end.end() :]
    if removed or end is not None or text.lstrip().startswith("<|"):
        # Without reasoning before them, <answer> and <output> are markup of the task.
        answer = _ANSWER.match(text)
        if answer is not None:
            return next(found for found in answer.groups() if found is not None)
    return text


def has_markers(text: str) -> bool:
    """Return whether a text holds a control token or a reasoning tag, quoted or not.

    A tokenizer makes one special token of a control token in training data, so a task about one harms, too.
    """
    if "<" not in text and "[" not in text and "◁" not in text:
        return False
    return _MARKER.search(text) is not None or text.count("</s>") > text.count("<s>")
