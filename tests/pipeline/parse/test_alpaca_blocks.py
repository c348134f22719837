"""Test parsing Alpaca's blocks of instruction, input and output as current models write them."""

import pytest
from support import make_completion

from selfinstruct.pipeline.parse.alpaca_blocks import blocks
from selfinstruct.pipeline.parse.types import AskedList, ParsedList
from selfinstruct.records import Reason

ID = "generate/000001"
TWO_BLOCKS = (
    " Add the numbers.\n4. Input:\n3, 4\n4. Output:\n7\n###\n"
    "5. Instruction: Name a lake.\n5. Input:\n<noinput>\n5. Output:\nLake Como"
)
BOTH = [("Add the numbers.", "3, 4", "7"), ("Name a lake.", "", "Lake Como")]
FROM_CHAT = f"4. Instruction:{TWO_BLOCKS}"


def read(
    text: str,
    *,
    continues: bool | None = False,
    demonstrations: tuple[str, ...] | None = None,
    finish_reason: str = "stop",
) -> ParsedList:
    return blocks(
        ID,
        make_completion(text, finish_reason=finish_reason),
        AskedList(first_number=4, demonstrations=demonstrations, continues=continues),
    )


def found(
    text: str, *, continues: bool | None = False, finish_reason: str = "stop"
) -> list[tuple[str, str, str]]:
    parsed = read(text, continues=continues, finish_reason=finish_reason)
    return [
        (one.instruction, one.instance.input, one.instance.output)
        for one in parsed.candidates
        if one.instance is not None
    ]


def reasons(parsed: ParsedList) -> list[tuple[str, Reason]]:
    return [(one.candidate_id, one.reason) for one in parsed.rejections]


@pytest.mark.parametrize("continues", [True, False, None])
def test_the_marker_of_the_prompt_may_be_repeated(*, continues: bool | None) -> None:
    assert found(TWO_BLOCKS, continues=continues) == BOTH
    assert found(FROM_CHAT, continues=continues) == BOTH
    assert found(f"###\n{FROM_CHAT}\n###", continues=continues) == BOTH


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("###\n", ""),
        ("###\n", "\n"),
        ("###\n", "---\n"),
        ("5. ", "4. "),
        ("5. ", "17. "),
        ("5. Input", "4. Input"),
        ("5. ", "5) "),
        ("4. ", "Task 4 "),
        ("4. Output:", "**4. Output:**"),
        ("4. Output:", "4. **Output:**"),
        ("4. Output:", "## 4. Output:"),
        ("4. Output:", "4. output :"),
        ("Output:", "Output："),
        ("<noinput>", "<No Input>"),
        ("<noinput>", "No input"),
        ("<noinput>", "N/A"),
        ("<noinput>", "None"),
        ("<noinput>", ""),
        ("4. Input:\n3, 4", "4. Input: 3, 4"),
        ("Lake Como", "Lake Como\n\nLet me know if you need more!"),
        ("Lake Como", "Lake Como\n###"),
        ("Lake Como", "Lake Como<think>Done?"),
    ],
)
def test_blocks_with_small_faults_are_parsed(old: str, new: str) -> None:
    assert old in FROM_CHAT
    assert found(FROM_CHAT.replace(old, new)) == BOTH


def test_blocks_without_numbers_are_parsed() -> None:
    assert found(FROM_CHAT.replace("4. ", "").replace("5. ", "")) == BOTH


def test_an_introduction_is_no_block() -> None:
    assert found(f"Sure! Here are the tasks:\n\n{FROM_CHAT}") == BOTH


def test_a_closing_remark_needs_its_own_paragraph() -> None:
    for output in ("Dear Ann,\nI hope you are well.", "I hope you are well.", "Dear Ann,\n\nBye!"):
        assert found(FROM_CHAT.replace("Lake Como", output))[1][2] == output


def test_a_block_without_its_start_is_no_task() -> None:
    assert found("4. Input:\n3, 4\n4. Output:\n7\n###\n5. Instruction: Add.\n5. Output: 1") == [
        ("Add.", "", "1")
    ]
    # Only a reply that continues the prompt may begin with the text of an instruction.
    text = " Name a lake.\n5. Instruction: Add 1 and 0.\n5. Output: 1"
    assert read(text, continues=False).rejections == ()
    assert reasons(read(text, continues=True)) == [(f"{ID}#1", Reason.MALFORMED)]


def test_a_refusal_may_contain_a_marker() -> None:
    parsed = read("I'm sorry, but I can't help with that.\nOutput: nothing")
    assert reasons(parsed) == [(f"{ID}#0", Reason.REFUSAL)]


def test_unnumbered_markers_between_numbered_ones_are_text() -> None:
    output = "def f():\n    # as follows\nInput: a number\nOutput: its square"
    text = FROM_CHAT.replace("\n7\n", f"\n{output}\n")
    assert found(text) == [("Add the numbers.", "3, 4", output), BOTH[1]]


def test_text_keeps_its_case_and_lines() -> None:
    text = FROM_CHAT.replace("3, 4", "PhD\n\n  in AI").replace("Add the", "Add\n the")
    assert found(text)[0] == ("Add the numbers.", "PhD\n\n  in AI", "7")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("5. Output:\nLake Como", "", Reason.MALFORMED),
        ("Lake Como", "Lake Como\n5. Output:\nLake Garda", Reason.MALFORMED),
        ("Lake Como", "Lake Como\n5. Input:\nmore", Reason.MALFORMED),
        (
            "5. Input:\n<noinput>\n5. Output:\nLake Como",
            "5. Output:\na\n5. Input:\nb",
            Reason.MALFORMED,
        ),
        ("Lake Como", "", Reason.EMPTY_OUTPUT),
        ("Lake Como", "N/A", Reason.EMPTY_OUTPUT),
        ("Lake Como", "<nooutput>", Reason.EMPTY_OUTPUT),
        ("Lake Como", "I'm sorry, but I cannot help with lakes.", Reason.REFUSAL),
        ("Lake Como", "As follows:", Reason.ENDS_IN_COLON),
        ("<noinput>", "lake como", Reason.OUTPUT_EQUALS_INPUT),
    ],
)
def test_a_block_without_a_valid_output_is_rejected(old: str, new: str, reason: Reason) -> None:
    parsed = read(FROM_CHAT.replace(old, new))
    assert [one.instruction for one in parsed.candidates] == ["Add the numbers."]
    assert reasons(parsed) == [(f"{ID}#2", reason)]


def test_a_block_needs_no_input() -> None:
    assert found(FROM_CHAT.replace("5. Input:\n<noinput>\n", "")) == BOTH


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
def test_a_truncated_reply_loses_its_last_block(finish_reason: str) -> None:
    parsed = read(FROM_CHAT, finish_reason=finish_reason)
    assert [one.instruction for one in parsed.candidates] == ["Add the numbers."]
    assert reasons(parsed) == [(f"{ID}#2", Reason.TRUNCATED)]


def test_a_repeated_demonstration_is_an_echo() -> None:
    parsed = read(FROM_CHAT, demonstrations=("add  the NUMBERS.",))
    assert [one.id for one in parsed.candidates] == [f"{ID}#2"]
    assert reasons(parsed) == [(f"{ID}#1", Reason.ECHO)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY_REPLY),
        ("<think>4. Instruction: a\n4. Output: b", Reason.EMPTY_REPLY),
        ("I'm sorry, but I can't help with that.", Reason.REFUSAL),
        ("Which tasks do you mean?", Reason.NO_LIST),
        ("9. Name a lake.", Reason.NO_LIST),
    ],
)
def test_a_reply_without_blocks_is_rejected(text: str, reason: Reason) -> None:
    parsed = read(text)
    assert parsed.candidates == ()
    assert reasons(parsed) == [(f"{ID}#0", reason)]
