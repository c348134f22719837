"""Test the layouts that occur in real replies from current chat models."""

import pytest
from support import make_completion

from selfinstruct.pipeline.parse import alpaca_blocks, instances, lists
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.records import Reason

A, B = "Name three rivers in Spain.", "Explain how bread rises."


def listed(text: str, *, finish_reason: str = "stop", continues: bool | None = False) -> list[str]:
    asked = AskedList(continues=continues)
    completion = make_completion(text, finish_reason=finish_reason)
    return [c.instruction for c in lists.instructions("generate/1", completion, asked).candidates]


def pairs(
    text: str, *, instruction: str = "", output_first: bool = False
) -> tuple[list[tuple[str, str]], list[Reason]]:
    asked = AskedInstances(output_first=output_first, instruction=instruction)
    parsed = instances.instances("instances/1", make_completion(text), asked)
    kept = [(one.input, one.output) for one in parsed.instances]
    return kept, [one.reason for one in parsed.rejections]


def whole_tasks(text: str, *, finish_reason: str = "stop") -> list[tuple[str, str, str]]:
    asked = AskedList(first_number=4, continues=None)
    completion = make_completion(text, finish_reason=finish_reason)
    found = alpaca_blocks.blocks("generate/1", completion, asked).candidates
    return [
        (c.instruction, c.instance.input, c.instance.output)
        for c in found
        if c.instance is not None
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"9. {A}\r\n10. {B}\r\n",
        f"```\n9. {A}\n10. {B}\n```",
        f"Here you go:\n\n```text\n9. {A}\n10. {B}\n```\n",
        f"9. {A}\n10. {B}\nLet me know if you need more!",
        f"9. {A}\n\n10. {B}\n\nI hope these tasks help!",
        f"9.{A}\n10.{B}",
        f"(9) {A}\n(10) {B}",
        f"9️⃣ {A}\n10. {B}",
        f"### Geography\n9. {A}\n### Baking\n10. {B}",
        f"**Geography**\n9. {A}\n**Baking**\n10. {B}",
        f'["{A}", "{B}"]',
        f'[{{"instruction": "{A}"}}, {{"instruction": "{B}"}}]',
        f"9. *{A}*\n10. *{B}*",
        f"9. {A}<br>10. {B}",
        f"9. Be short, and vary.</think>9. {A}\n10. {B}",
        f"[THINK]9. Be short, and vary.[/THINK]\n9. {A}\n10. {B}",
        f"9. {A}\n10. {B}<|eot_id|>",
        f"I'll go on with new tasks.\n9. {A}\n10. {B}",
    ],
)
def test_a_list_is_found_in_any_wrapping(text: str) -> None:
    assert listed(text) == [A, B]


def test_a_list_without_numbers_is_parsed_by_line() -> None:
    assert listed(f"{A}\n{B}\nSum up your day in a line.") == [A, B, "Sum up your day in a line."]
    assert listed(f"{A}\n{B}") == []  # two lines are too few for a list


def test_an_item_before_other_text_is_complete() -> None:
    text = f"9. {A}\n10. {B}\n\nHere is another list:\n1. Write a lim"
    assert listed(text, finish_reason="length") == [A, B]
    assert listed(f"9. {A}\n10. {B}", finish_reason="length") == [A]


@pytest.mark.parametrize(
    "text",
    [
        "Input: a b\r\nOutput: c d\r\n",
        "```\nInput: a b\nOutput: c d\n```",
        "Input: a b\nOutput: c d\n\nLet me know if you would like more examples!",
        "*Input:* a b\n*Output:* c d",
        "1. Input: a b\n   Output: c d",
        "**Example 1 (short)**\n**Input:** a b\n**Output:** c d",
        "Example:\nInput: a b\nOutput: c d",
        "Esempio 1\nInput: a b\nOutput: c d",
        "Input: a b\nOutput: c d\n\n---",
    ],
)
def test_a_pair_is_found_in_any_wrapping(text: str) -> None:
    assert pairs(text) == ([("a b", "c d")], [])


@pytest.mark.parametrize(
    "text",
    [
        "1. Input: a\n   Output: b\n2. Input: c\n   Output: d",
        "**1.**\nInput: a\nOutput: b\n**2.**\nInput: c\nOutput: d",
        "Input 1: a\nInput 2: c\nOutput 1: b\nOutput 2: d",
        "Example 1\r\nInput: a\r\nOutput: b\r\nExample 2\r\nInput: c\r\nOutput: d",
        "**Example 1**\nInput: a\nOutput: b\n**Example 2 (long)**\nInput: c\nOutput: d",
        "Example One\nInput: a\nOutput: b\n\n---\n\nExample Two\nInput: c\nOutput: d",
    ],
)
def test_two_pairs_are_two(text: str) -> None:
    assert pairs(text) == ([("a", "b"), ("c", "d")], [])


def test_a_heading_is_followed_by_input_or_title() -> None:
    assert pairs("Example: [1, 2]\nOutput: 3") == ([("[1, 2]", "3")], [])
    assert pairs("Example 1: [1, 2]\nOutput: 3") == ([("[1, 2]", "3")], [])
    assert pairs("Example 1: two numbers\nInput: [1, 2]\nOutput: 3") == ([("[1, 2]", "3")], [])


def test_code_is_never_split() -> None:
    task = "Write a function that doubles a number."
    code = "```python\ndef d(x):\n    return 2 * x\n\nprint(d(4))\n# Output: 8\n```"
    assert pairs(f"Output:\n{code}", instruction=task) == ([("", code)], [])
    assert pairs(f"Here is a function that does it:\n\n{code}", instruction=task) == (
        [("", code)],
        [],
    )
    documented = (
        'def rev(s):\n    """Reverse.\n\n    Input: a string\n    Output: its reverse\n    """'
    )
    assert pairs(f"Output:\n{documented}", instruction=task)[0] == [("", documented)]


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("Why should towns invest in buses?", "Public transport reduces traffic and noise."),
        ("How do I choose a tent?", "Select a tent that is large enough for your things."),
        ("What are the benefits of the scientific method?", "It makes claims testable."),
        ("Write an e-mail that cancels a meeting.", "Subject: Meeting\n\nDear all, it is off."),
        ("Write a poem about a house.", "Here is the house where I was born.\nHere is the tree."),
    ],
)
def test_prose_that_answers_the_task_is_output(task: str, text: str) -> None:
    assert pairs(text, instruction=task) == ([("", text)], [])


def test_an_output_may_contain_horizontal_rules() -> None:
    matter = "---\ntitle: Hello\n---\n\nText."
    assert pairs(f"Output:\n{matter}") == ([("", matter)], [])


def test_different_spellings_of_one_input_conflict() -> None:
    text = 'Class label: spam\nInput: Win  now!\nClass label: ham\nInput: "win now!"'
    kept, reasons = pairs(text, output_first=True)
    assert (kept, reasons) == ([], [Reason.CONFLICTING_OUTPUTS, Reason.CONFLICTING_OUTPUTS])


@pytest.mark.parametrize(
    "text",
    [
        (
            f"4. Instruction: {A}\n4. Input:\n<noinput>\n4. Output:\nEbro\n###\n5. Instruction: {B}\n"
            "5. Input:\n<noinput>\n5. Output:\nYeast\n###\n\nThese tasks cover many fields."
        ),
        (
            f"4. Instruction: {A}\r\n4. Input:\r\n<noinput>\r\n4. Output:\r\nEbro\r\n###\r\n"
            f"5. Instruction: {B}\r\n5. Input:\r\n<noinput>\r\n5. Output:\r\nYeast"
        ),
        (
            f"4. Instruction: {A}\nInput: <noinput>\nOutput: Ebro\n###\n"
            f"5. Instruction: {B}\nInput: <noinput>\nOutput: Yeast"
        ),
        (
            f"### Task 4\n**Instruction:** {A}\n**Input:** None\n**Output:** Ebro\n\n"
            f"### Task 5\n**Instruction:** {B}\n**Input:** None\n**Output:** Yeast"
        ),
        (
            f"**4.**\n**Instruction:** {A}\n**Input:** &lt;noinput&gt;\n**Output:** Ebro\n\n---\n\n"
            f"**5.**\n**Instruction:** {B}\n**Input:** No input is needed.\n**Output:** Yeast"
        ),
        (
            f"```\n4. Instruction: {A}\n4. Input:\n<noinput>\n4. Output:\nEbro\n###\n"
            f"5. Instruction: {B}\n5. Input:\n<noinput>\n5. Output:\nYeast\n```"
        ),
    ],
)
def test_whole_tasks_are_found_in_any_wrapping(text: str) -> None:
    assert whole_tasks(text) == [(A, "", "Ebro"), (B, "", "Yeast")]


@pytest.mark.parametrize("end", ["", "\n", "\n5", "\n5. Ins", "\n5. Instruction: Expl"])
def test_a_truncated_reply_keeps_its_complete_blocks(end: str) -> None:
    text = f" {A}\n4. Input:\n<noinput>\n4. Output:\nEbro\n###{end}"
    assert whole_tasks(text, finish_reason="length") == [(A, "", "Ebro")]


@pytest.mark.parametrize(
    "text",
    [
        "I'm just an AI, so I have no list.",
        "I don't have access to real-time data.",
        "I must decline.",
    ],
)
def test_refusals_in_other_words_are_recognised(text: str) -> None:
    assert pairs(f"Output: {text}") == ([], [Reason.REFUSAL])


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry I missed your party. Shall we meet on Sunday?",
        "My apologies for the cold room. We will send somebody up at once.",
        "Sorry, we are closed on Mondays.",
        "But I can dance all night.",
    ],
)
def test_a_requested_apology_is_no_refusal(text: str) -> None:
    assert pairs(f"Output: {text}") == ([("", text)], [])


def test_demonstrations_are_compared_without_a_final_colon() -> None:
    shown = ("Answer the question:", "Sort the list:")
    completion = make_completion(f"1. Answer the question\n2. Sort the list\n3. {A}")
    asked = AskedList(first_number=3, demonstrations=shown, continues=False)
    found = lists.instructions("generate/1", completion, asked)
    assert [c.instruction for c in found.candidates] == [A]

    block = "3. Instruction: Sort the list\n3. Input:\nb, a\n3. Output:\na, b"
    echoed = alpaca_blocks.blocks("generate/1", make_completion(block), asked)
    assert [r.reason for r in echoed.rejections] == [Reason.ECHO]
