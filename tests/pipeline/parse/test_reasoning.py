"""Test that reasoning and control tokens are removed from replies and rejected in records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_completion

from selfinstruct.pipeline.filters import rejection_reason
from selfinstruct.pipeline.parse.alpaca_blocks import blocks
from selfinstruct.pipeline.parse.classification import answer
from selfinstruct.pipeline.parse.instances import instances
from selfinstruct.pipeline.parse.lists import instructions
from selfinstruct.pipeline.parse.reasoning import has_markers, without_reasoning
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.records import Reason

DRAFT = "Let me see.\n1. **Analyze** the request.\n9. Draft a limerick.\n10. Draft an ode.\n\n"
LIST = "9. Name a river in Spain.\n10. Sum up the plot of Hamlet."
WANTED = ["Name a river in Spain.", "Sum up the plot of Hamlet."]

AROUND = [
    "<think>{}</think>",
    "{}</think>",
    "<THINKING>{}</THINKING>",
    "[THINK]{}[/THINK]",
    "<seed:think>{}</seed:think>",
    "<thought>{}</thought>",
    "<thoughts>\n{}</thoughts>\n",
    "<reasoning>{}</reasoning>",
    "<reflection>{}</reflection>",
    "<scratchpad>{}</scratchpad>",
    "◁think▷{}◁/think▷",
    "<|begin_of_thought|>{}<|end_of_thought|><|begin_of_solution|>",
    "<|START_THINKING|>{}<|END_THINKING|><|START_RESPONSE|>",
    "<|THINK_START|>{}<|THINK_END|>",
    "<|open|>think<|sep|>{}<|close|>think<|sep|><|open|>response<|sep|>",
    "<|inner_prefix|>{}<|inner_suffix|>",
    "<|message_model|><|content_thinking|>{}<|end_message|><|message_model|><|content_text|>",
    "<|channel>thought\n{}<channel|>",
    "<unused94>thought\n{}<unused95>",
    "<think>{}</think>\n<answer>",
    "<Thought>{}</Thought>\n<Output>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    (
        "<|start|>assistant<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final "
        "<|constrain|>text<|message|>"
    ),
    (
        "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>commentary<|message|>9. Draft "
        "it.<|end|><|start|>assistant<|channel|>final<|message|>"
    ),
    "analysisWe need tasks. {}assistantfinal",
    "Here is my thought process:\n{}Here is my response:\n",
    "**Thinking Process:**\n\n{}**Final Answer:**\n",
    "Thinking Process:\n\n{}</think>\n\n",
]
"""Formats of a reply with reasoning before the answer. The reasoning replaces the braces."""
ENDS = [
    "",
    "<|return|>",
    "<|im_end|>",
    "<|eot_id|>\n",
    "<end_of_turn>",
    "</s>",
    "<｜end▁of▁sentence｜>",
]
ENDS_A_TURN = ("<|im_end|>", "<|channel|>", "<｜User｜>")
UNFINISHED = [
    "<think>{}",
    "<thought>{}",
    "[THINK]{}",
    "<|channel|>analysis<|message|>{}",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>commentary<|message|>9. Draft it.",
    "analysisWe need tasks. {}",
    "Thinking Process: {}",
    "### Thinking Process\n{}",
    "Here's my thinking process: {}",
    "<|channel>thought\n{}",
]


@pytest.mark.parametrize("wrapped", AROUND)
def test_only_the_answer_is_parsed(wrapped: str) -> None:
    before = wrapped.format(DRAFT)
    for end in ENDS:
        parsed = instructions("g", make_completion(before + LIST + end), AskedList(continues=False))
        assert [c.instruction for c in parsed.candidates] == WANTED, end
    assert answer(make_completion(before + "Yes.")) == "yes"
    pair = instances(
        "i", make_completion(before + "Input: 2\nOutput: 4"), AskedInstances(output_first=False)
    )
    assert [(i.input, i.output) for i in pair.instances] == [("2", "4")]
    block = "9. Instruction: Double the number.\n9. Input:\n2\n9. Output:\n4\n"
    found = blocks("g", make_completion(before + block), AskedList(continues=False))
    assert [c.instruction for c in found.candidates] == ["Double the number."]


@pytest.mark.parametrize("wrapped", UNFINISHED)
def test_unfinished_reasoning_leaves_no_text(wrapped: str) -> None:
    reply = make_completion(wrapped.format(DRAFT + LIST))
    parsed = instructions("g", reply, AskedList(continues=False))
    assert not parsed.candidates
    assert [r.reason for r in parsed.rejections] == [Reason.EMPTY_REPLY]
    assert not instances("i", reply, AskedInstances(output_first=False)).instances


@pytest.mark.parametrize(
    "start", ["<|im_start|>assistant\n", "<|assistant|>", "<start_of_turn>model\n"]
)
def test_a_token_before_the_reply_is_removed(start: str) -> None:
    parsed = instructions("g", make_completion(start + LIST), AskedList(continues=False))
    assert [c.instruction for c in parsed.candidates] == WANTED


@pytest.mark.parametrize(
    "next_turn", ["<|im_start|>user\n", "<start_of_turn>user\n", "[INST]", "<|user|>\n"]
)
def test_the_next_turn_is_removed(next_turn: str) -> None:
    text = f"{LIST}\n{next_turn}11. Draft a limerick."
    parsed = instructions("g", make_completion(text), AskedList(continues=False))
    assert [c.instruction for c in parsed.candidates] == WANTED


@pytest.mark.parametrize(
    "marker",
    ["<|im_end|>", "<|channel|>", "<｜User｜>", "<think>", "</think>", "[THINK]", "[/INST]", "<thought>",
     "</s>", "<channel|>", "<|channel>", "◁think▷", "<|reserved_special_token_7|>", "<unused95>",
     "<seed:think>"],
)  # fmt: skip
def test_no_record_contains_a_marker(marker: str) -> None:
    for quoted in (f"`{marker}`", f"“{marker}”"):
        assert rejection_reason(
            f"Explain what {quoted} means in a chat.", SELF_INSTRUCT.rules["default"]
        ) == (Reason.CONTROL_TOKENS)
        reply = make_completion(f"Input: two\nOutput: five {quoted} six\n")
        parsed = instances("i", reply, AskedInstances(output_first=False))
        assert not any(marker in instance.output for instance in parsed.instances)
        block = f"4. Instruction: Add the numbers.\n4. Input:\n2\n4. Output:\nIt is {quoted} 4.\n"
        found = blocks("g", make_completion(block), AskedList(first_number=4, continues=False))
        assert not any(marker in str(candidate.instance) for candidate in found.candidates)
        if marker not in ENDS_A_TURN:
            assert [r.reason for r in (*parsed.rejections, *found.rejections)] == [
                Reason.CONTROL_TOKENS
            ] * 2


@pytest.mark.parametrize(
    "text",
    ["f <| x |> g", "a < b | c > d", "<b>bold</b> and <i>italic</i>", "<s>old</s> new", "if (a <b||c> d)",
     "list[int] | None", "[INSTALL] it", "<thoughtful>", "<output>4</output>", "x = [1, 2]", "<|", "|>"],
)  # fmt: skip
def test_code_and_markup_have_no_markers(text: str) -> None:
    assert not has_markers(text)
    assert without_reasoning(text) == text


@given(st.text())
def test_no_text_raises(text: str) -> None:
    has_markers(text)
    without_reasoning(text)
