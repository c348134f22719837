"""Test parsing lists of instructions as current models write them."""

import pytest
from support import make_completion

from selfinstruct.pipeline.parse import lists
from selfinstruct.pipeline.parse.types import AskedList, ParsedList
from selfinstruct.records import Reason

ID = "generate/000001"
SHOWN = (
    "Name a river.",
    "List three uses of salt.",
    "Explain tides to a child.",
    "Sum up the letter.",
    "Which planet is the largest?",
    "Turn the notes into a table.",
    "Rank the offers by price.",
    "Translate the menu into Dutch.",
)
ECHOED = "\n".join(f"{n}. {task}" for n, task in enumerate(SHOWN, start=1))


def read(
    text: str,
    *,
    continues: bool | None = False,
    demonstrations: tuple[str, ...] | None = (),
    finish_reason: str = "stop",
) -> ParsedList:
    return lists.instructions(
        ID,
        make_completion(text, finish_reason=finish_reason),
        AskedList(first_number=9, demonstrations=demonstrations, continues=continues),
    )


def found(
    text: str,
    *,
    continues: bool | None = False,
    demonstrations: tuple[str, ...] | None = (),
    finish_reason: str = "stop",
) -> list[str]:
    parsed = read(
        text,
        continues=continues,
        demonstrations=demonstrations,
        finish_reason=finish_reason,
    )
    return [one.instruction for one in parsed.candidates]


# ── lists of chat models ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "9. Name a river.\n10. Name a lake.",
        "1. Name a river.\n2. Name a lake.",
        "9) Name a river.\n10) Name a lake.",
        "9: Name a river.\n10: Name a lake.",
        "**9.** Name a river.\n**10.** Name a lake.",
        "**9. Name a river.**\n**10. Name a lake.**",
        "9. **Name a river.**\n10. **Name a lake.**",
        "- 9. Name a river.\n- 10. Name a lake.",
        "### 9. Name a river.\n### 10. Name a lake.",
        "Task 9: Name a river.\nTask 10: Name a lake.",
        "**Task 9:** Name a river.\n**Task 10:** Name a lake.",
        "Instruction 9: Name a river.\nInstruction 10: Name a lake.",
        "9．Name a river.\n10．Name a lake.",
        "９．Name a river.\n１０．Name a lake.",
        "9、Name a river.\n10、Name a lake.",
        "9） Name a river.\n10） Name a lake.",
        "  9. Name a river.\n  10. Name a lake.",
        "9. Name a river.\r\n10. Name a lake.\r\n",
        "9. Name a river.\n\n10. Name a lake.",
        '9. "Name a river."\n10. "Name a lake."',
        "9. Task: Name a river.\n10. Instruction: Name a lake.",
        "9.\nName a river.\n10.\nName a lake.",
        "9. Name\n   a river.\n10. Name a lake.",
        "- Name a river.\n- Name a lake.",
        "* Name a river.\n* Name a lake.",
        "• Name a river.\n• Name a lake.",
    ],
)
def test_a_list_may_have_any_numbering(text: str) -> None:
    assert found(text) == ["Name a river.", "Name a lake."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9. explain what a PhD in AI is", ["explain what a PhD in AI is"]),
        ("9. **Rivers:** Name one.", ["Rivers: Name one."]),
        ("9. Name a river with **two** syllables.", ["Name a river with two syllables."]),
        ("9. What is 2**3 + 3**2?", ["What is 2**3 + 3**2?"]),
        ('9. "Yes" or "no"', ['"Yes" or "no"']),
        ("9. Round 3.5 up.\n10. Name a lake.", ["Round 3.5 up.", "Name a lake."]),
        ("9. Say why\n1990. was no good year.\n10. Sum up.", ["Say why", "Sum up."]),
        ("9. Name a river.\n12. Name a lake.", ["Name a river.", "Name a lake."]),
        ("9. Explain the example of Rome.", ["Explain the example of Rome."]),
    ],
)
def test_the_text_of_an_item_is_kept(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Sure! Here are the tasks:\n\n9. Name a river.\n10. Name a lake.",
        "Of course. Tasks 9 to 10:\n9. Name a river.\n10. Name a lake.",
        "9. Name a river.\n10. Name a lake.\n\nLet me know if you want more!",
        "9. Name a river.\n10. Name a lake.\n\nThese tasks\nare varied.",
        "9. Name a river.\n10. Name a lake.\n---\nEnjoy!",
        "## Tasks\n\n9. Name a river.\n10. Name a lake.\n###",
        "- Name a river.\n- Name a lake.\n\nLet me know if you want more!",
        "Here you are:\n- Name a river.\n- Name a lake.",
    ],
)
def test_introductions_and_closing_remarks_are_no_items(text: str) -> None:
    assert found(text) == ["Name a river.", "Name a lake."]


@pytest.mark.parametrize(
    "text",
    [
        "9. Name a river.\n   Input: Spain\n10. Name a lake.",
        "9. Name a river.\n**Input:** Spain\n**Output:** Ebro\n10. Name a lake.",
        "9. Name a river.\n   - Input: Spain\n   - Output: Ebro\n10. Name a lake.",
        "9. Name a river.\nExample input: Spain\nof today\n10. Name a lake.",
        "9. Name a river.\nClass label: Ebro\n10. Name a lake.",
        "9. Name a river. Input: Spain\n10. Name a lake. Output: Como",
    ],
)
def test_an_example_is_no_part_of_its_task(text: str) -> None:
    assert found(text) == ["Name a river.", "Name a lake."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9. Name a river.\n\n1. Another list.\n2. Of other things.", ["Name a river."]),
        ("9. Rank these.\n1. Gold\n2. Tin\n10. Name a lake.", ["Rank these.", "Name a lake."]),
        (
            "9. Name a river. 10. Name a lake. 11. Sum up.",
            ["Name a river.", "Name a lake.", "Sum up."],
        ),
        ("9. Name a river? **10.** Name a lake.", ["Name a river?", "Name a lake."]),
        ("9. 川の名前。 10. 湖の名前。", ["川の名前。", "湖の名前。"]),
        ("9. Name it. 10. Sum up.\n11. Add.", ["Name it.", "Sum up.", "Add."]),
        # A number is part of the text if it is not the next number, or does not follow the end of a sentence.
        ("9. Name a river. 12. Name a lake.", ["Name a river. 12. Name a lake."]),
        ("9. Read chapter 10. Sum it up.", ["Read chapter 10. Sum it up."]),
        ("9. Name it. 10.5 is the price.", ["Name it. 10.5 is the price."]),
        # The number in the text is the same as that of the next item.
        ("9. See rule a. 10. is it.\n10. Name it.", ["See rule a. 10. is it.", "Name it."]),
    ],
)
def test_only_the_next_number_begins_an_item(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_up_to_eight_numbers_may_be_missing() -> None:
    assert found("9. Name a river.\n18. Name a lake.") == ["Name a river.", "Name a lake."]
    assert found("9. Name a river.\n19. Name a lake.") == ["Name a river."]


def test_one_bullet_is_no_list() -> None:
    assert found("- Name a river.") == []


def test_an_apology_among_other_items_is_a_task() -> None:
    text = "9. I'm sorry I am late: say it politely.\n10. Name a lake."
    assert found(text) == ["I'm sorry I am late: say it politely.", "Name a lake."]


# ── reasoning ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>1. Be short.\n2. Vary.</think>\n\n9. Name a river.", ["Name a river."]),
        ("<THINKING>1. Vary.</THINKING>\n9. Name a river.", ["Name a river."]),
        ("1. Be short.\n2. Vary.\n</think>\n\n9. Name a river.", ["Name a river."]),
        ("9. Name a <think>short</think> river.", ["Name a river."]),
        ("9. Name a river.\n10. Name <think>Hm. 11. What", ["Name a river.", "Name"]),
        ("9. Say what `<think>` does.\n10. Sum up.", ["Say what `<think>` does.", "Sum up."]),
        ('9. Say what "<think>" does.\n10. Sum up.', ['Say what "<think>" does.', "Sum up."]),
        ("9. Say what “<think>” does.\n10. Sum up.", ["Say what “<think>” does.", "Sum up."]),
        (
            "9. Explain `<think>` and `</think>`.\n10. Sum up.",
            ["Explain `<think>` and `</think>`.", "Sum up."],
        ),
    ],
)
def test_reasoning_is_no_part_of_a_list(text: str, expected: list[str]) -> None:
    assert found(text) == expected


# ── lists that continue the prompt ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("continues", [True, None])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Name a river.\n10. Name a lake.", ["Name a river.", "Name a lake."]),
        (" Name a\nriver.\n10. Name a lake.", ["Name a river.", "Name a lake."]),
        (" Name a river.\n   Input: Spain\n10. Name a lake.", ["Name a river.", "Name a lake."]),
        (" Name a river.", ["Name a river."]),
        (" Name a river.\n\nSomething else.", ["Name a river."]),
        (" Name a river.\n\nSomething else.\n10. Name a lake.", ["Name a river.", "Name a lake."]),
        (" Name a river.\nclass label: long\n10. Name a lake.", ["Name a river.", "Name a lake."]),
        (" Name a river.\nclass label: long", ["Name a river."]),
        (" Name a river.\n12. Name a lake.", ["Name a river.", "Name a lake."]),
        (" Name a river.\n17. Name a lake.", ["Name a river.", "Name a lake."]),
        (" Rank these metals.\n1. Gold\n10. Name a lake.", ["Rank these metals.", "Name a lake."]),
        (" Name a river. 10. Name a lake.", ["Name a river.", "Name a lake."]),
        # The model may repeat the number that the prompt ends in.
        ("9. Name a river.\n10. Name a lake.", ["Name a river.", "Name a lake."]),
    ],
)
def test_a_continued_list_starts_without_a_number(
    text: str, expected: list[str], *, continues: bool | None
) -> None:
    assert found(text, continues=continues) == expected


def test_only_the_next_number_continues_a_chat_reply() -> None:
    assert found("Name a river.\n10. Name a lake.") == ["Name a river.", "Name a lake."]
    assert found("Name a river.\n12. Name a lake.") == ["Name a lake."]
    assert found("Name a river.\n9. Name a lake.") == ["Name a lake."]
    assert found(" These are some.\n1. Name a lake.") == ["Name a lake."]


def test_a_leading_space_marks_a_continuation() -> None:
    text = "Here are metals.\n1. Name gold.\n2. Name tin."
    assert found(text, continues=None) == ["Name gold.", "Name tin."]
    text = " Rank the metals.\n1. Name gold.\n2. Name tin."
    assert found(text, continues=None) == ["Rank the metals."]


def test_a_continued_list_counts_its_first_item() -> None:
    parsed = read(" Name a river.\n10. Name a lake.", continues=True)
    assert [one.id for one in parsed.candidates] == [f"{ID}#1", f"{ID}#2"]


@pytest.mark.parametrize("continues", [True, None])
def test_an_introduction_is_no_item_of_a_list(*, continues: bool | None) -> None:
    text = "Sure! Here are some more:\n10. Name a lake."
    assert found(text, continues=continues) == ["Name a lake."]
    assert found("What would you like me to do?", continues=continues) == []


def test_a_chat_reply_without_numbers_has_no_list() -> None:
    parsed = read("Name a river.", continues=False)
    assert parsed.candidates == ()
    assert [one.reason for one in parsed.rejections] == [Reason.NO_LIST]


# ── echoes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_repeated_demonstrations_are_echoes() -> None:
    parsed = read(f"{ECHOED}\n9. Name a lake.", demonstrations=SHOWN)
    assert [(one.id, one.instruction) for one in parsed.candidates] == [(f"{ID}#9", "Name a lake.")]
    assert [one.reason for one in parsed.rejections] == [Reason.ECHO] * 8
    assert [one.text for one in parsed.rejections] == list(SHOWN)


def test_repeated_rules_of_the_prompt_are_echoes() -> None:
    text = f"1. Be brief.\n2. Vary the verbs.\n\n{ECHOED}\n9. Name a lake."
    assert "Be brief." not in found(text, demonstrations=SHOWN)
    assert found(text, demonstrations=SHOWN) == ["Name a lake."]


@pytest.mark.parametrize("continues", [True, False, None])
@pytest.mark.parametrize("gap", ["\n", "\n\n", "\n\nHere are 8 more tasks:\n\n"])
def test_bullets_may_follow_repeated_demonstrations(gap: str, continues: bool | None) -> None:
    text = f"{ECHOED}{gap}- Name a lake.\n- Name a sea.\n- Name a bay."
    parsed = read(text, continues=continues, demonstrations=SHOWN)
    assert [c.instruction for c in parsed.candidates] == [
        "Name a lake.",
        "Name a sea.",
        "Name a bay.",
    ]
    assert [r.reason for r in parsed.rejections] == [Reason.ECHO] * 8


def test_bullets_under_a_new_task_belong_to_the_task() -> None:
    text = f"{ECHOED}\n9. Compare these:\n- tea\n- coffee"
    assert found(text, demonstrations=SHOWN) == ["Compare these: - tea - coffee"]


def test_a_demonstration_among_new_tasks_is_an_echo() -> None:
    text = "9. Name a lake.\n10. name a  RIVER.\n11. Add the sums."
    assert found(text, demonstrations=SHOWN) == ["Name a lake.", "Add the sums."]
    assert found(text, demonstrations=()) == ["Name a lake.", "name a RIVER.", "Add the sums."]


def test_a_list_from_1_may_be_new() -> None:
    text = "\n".join(f"{n}. Name river number {n}." for n in range(1, 11))
    assert len(found(text, demonstrations=SHOWN)) == 10


@pytest.mark.parametrize("continues", [True, None])
@pytest.mark.parametrize("demonstrations", [SHOWN, None])
def test_a_long_list_under_a_heading_repeats_demonstrations(
    demonstrations: tuple[str, ...] | None, *, continues: bool | None
) -> None:
    listed = "\n".join(f"{n}. Name river number {n}." for n in range(1, 11))
    headed = f"Come up with a series of tasks:\n{listed}"
    new = ["Name river number 9.", "Name river number 10."]
    assert found(headed, demonstrations=demonstrations, continues=continues) == new
    # All items are new if there is no heading, if there are at most eight, or if a chat model replied.
    assert len(found(listed, demonstrations=demonstrations, continues=continues)) == 10
    eight = headed.partition("\n9.")[0]
    assert len(found(eight, demonstrations=demonstrations, continues=continues)) == 8
    assert len(found(headed, demonstrations=demonstrations, continues=False)) == 10


def test_a_list_from_2_repeats_no_demonstrations() -> None:
    listed = "\n".join(f"{n}. Name river number {n}." for n in range(2, 11))
    headed = f"Come up with a series of tasks:\n{listed}"
    assert len(found(headed, demonstrations=None, continues=None)) == 9


def test_the_first_item_may_contain_a_list() -> None:
    text = " Rank these metals:\n1. Gold\n2. Tin\n10. Name a lake."
    assert found(text, continues=True) == ["Rank these metals:", "Name a lake."]


def test_a_heading_among_the_items_is_an_echo() -> None:
    parsed = read("9. Name a lake.\n10. Come up with a series of tasks:\n11. Add the sums.")
    assert [one.instruction for one in parsed.candidates] == ["Name a lake.", "Add the sums."]
    assert [(one.candidate_id, one.reason) for one in parsed.rejections] == [
        (f"{ID}#2", Reason.ECHO)
    ]


# ── truncated and empty replies ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
def test_a_truncated_reply_loses_only_its_last_item(finish_reason: str) -> None:
    parsed = read("9. Name a river.\n10. Name a la", finish_reason=finish_reason)
    assert [one.instruction for one in parsed.candidates] == ["Name a river."]
    assert [(one.candidate_id, one.reason, one.text) for one in parsed.rejections] == [
        (f"{ID}#2", Reason.TRUNCATED, "Name a la")
    ]


def test_a_cut_within_a_line_rejects_one_item() -> None:
    text = "9. Name a river. 10. Name a la"
    assert found(text, finish_reason="length") == ["Name a river."]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY_REPLY),
        (" \n ", Reason.EMPTY_REPLY),
        ("<think>Let me see.\n9. Name a river.\n10. Name", Reason.EMPTY_REPLY),
        ("I'm sorry, but I can't help with that.", Reason.REFUSAL),
        ("As an AI language model, I have no list.", Reason.REFUSAL),
        ("9. I'm sorry, but I can't help with that.", Reason.REFUSAL),
        ("What would you like to know?", Reason.NO_LIST),
        ("Sure, go ahead!", Reason.NO_LIST),
    ],
)
def test_a_reply_without_a_list_is_rejected(text: str, reason: Reason) -> None:
    parsed = read(text)
    assert parsed.candidates == ()
    assert [(one.candidate_id, one.reason) for one in parsed.rejections] == [(f"{ID}#0", reason)]
