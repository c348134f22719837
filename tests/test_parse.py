"""Parsers: what replies say, and laws that hold for any text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_completion

from selfinstruct import parse
from selfinstruct.records import Instance, Reason

ID = "generate/000001"


def read(text: str, finish_reason: str = "stop") -> parse.ParsedList:
    return parse.instructions(ID, make_completion(text, finish_reason=finish_reason))


def found(text: str, finish_reason: str = "stop") -> list[str]:
    return [candidate.instruction for candidate in read(text, finish_reason).candidates]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9. Name a river.\n10. Name a lake.", ["Name a river.", "Name a lake."]),
        ("1. Name a river.\n2. Name a lake.", ["Name a river.", "Name a lake."]),
        ("9) Name a river.\n10) Name a lake.", ["Name a river.", "Name a lake."]),
        ("**9.** Name a river.\n**10.** Name a lake.", ["Name a river.", "Name a lake."]),
        ("- 9. Name a river.", ["Name a river."]),
        ("9. **Name a river.**", ["Name a river."]),
        ('9. "Name a river."', ["Name a river."]),
        ("Sure! Here you are:\n\n9. Name a river.\n\nEnjoy!", ["Name a river."]),
        ("9. Name a river\n   that flows north.", ["Name a river that flows north."]),
        ("9. Round 3.5 up.\n10. Name a lake.", ["Round 3.5 up.", "Name a lake."]),
        ("9. Name a river.\n\n1. Another list.\n2. Of other things.", ["Name a river."]),
        ("9. Add\n1990. is no item.\n10. Name a lake.", ["Add", "Name a lake."]),
        (
            "9. Name a river.\n11. Name a lake.\n12. Sum up.",
            ["Name a river.", "Name a lake.", "Sum up."],
        ),
        ("<think>1. Be short.\n2. Vary.</think>\n\n9. Name a river.", ["Name a river."]),
        ("1. Be short.\n2. Vary.\n</think>\n\n9. Name a river.", ["Name a river."]),
        (
            "9. Say what <think> does.\n10. Name a river.",
            ["Say what <think> does.", "Name a river."],
        ),
        (
            "9. Explain <think> and </think>.\n10. Sum up.",
            ["Explain <think> and </think>.", "Sum up."],
        ),
        ("9. Name a river.\r\n10. Name a lake.\r\n", ["Name a river.", "Name a lake."]),
    ],
)
def test_a_numbered_list_is_read(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_a_reply_cut_by_length_loses_its_last_item_only() -> None:
    parsed = read("9. Name a river.\n10. Name a la", finish_reason="length")
    assert [c.instruction for c in parsed.candidates] == ["Name a river."]
    assert [(r.candidate_id, r.reason, r.text) for r in parsed.rejections] == [
        (f"{ID}#2", Reason.TRUNCATED, "Name a la")
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY_REPLY),
        (" \n ", Reason.EMPTY_REPLY),
        ("I'm sorry, but I can't help with that.", Reason.REFUSAL),
        ("As an AI language model, I have no list.", Reason.REFUSAL),
        ("What would you like to know?", Reason.NO_LIST),
        ("<think>Let me see.\n9. Name a river.\n10. Name", Reason.EMPTY_REPLY),
    ],
)
def test_a_reply_without_a_list_is_rejected_whole(text: str, reason: Reason) -> None:
    parsed = read(text)
    assert parsed.candidates == ()
    assert [(r.candidate_id, r.reason) for r in parsed.rejections] == [(f"{ID}#0", reason)]


LINES = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1)
INSTRUCTIONS = st.lists(LINES, min_size=1, max_size=4).map(" ".join)


@given(st.lists(INSTRUCTIONS, min_size=1, max_size=8))
def test_parsing_a_rendered_list_gives_the_list_back(instructions: list[str]) -> None:
    text = "\n".join(f"{n}. {line}" for n, line in enumerate(instructions, start=9))
    assert found(text) == [parse._tidy(line) for line in instructions]


MARKED = st.lists(
    st.sampled_from(
        ["Input:", "Output:", "Class label:", "Example 1", "Task:", "\n", "9. ", "10. ", "**", "x"]
    )
    | st.text(max_size=8),
    max_size=20,
).map("".join)


@given(st.text() | MARKED, st.sampled_from(["stop", "length", None]), st.booleans())
def test_no_text_makes_a_parser_raise_or_invent_words(
    text: str, finish_reason: str | None, output_first: bool
) -> None:
    completion = make_completion(text, finish_reason=finish_reason)
    said = " ".join(text.split())

    listed = parse.instructions(ID, completion)
    parsed = parse.instances(ID, completion, output_first=output_first, limit=5)
    parse.yes_or_no(completion)

    texts = [candidate.instruction for candidate in listed.candidates]
    for instance in parsed.instances:
        texts += [instance.input, instance.output]
        assert instance.output
    for one in texts:
        # Items of several lines are joined by a space; each line stands in the reply.
        assert all(word in said for word in one.split())


@given(st.text() | MARKED, st.booleans())
def test_every_item_is_either_kept_or_rejected_with_its_own_id(
    text: str, output_first: bool
) -> None:
    completion = make_completion(text, finish_reason="length")
    listed = parse.instructions(ID, completion)
    ids = [c.id for c in listed.candidates] + [r.candidate_id for r in listed.rejections]
    assert len(ids) == len(set(ids)) > 0

    parsed = parse.instances(ID, completion, output_first=output_first, limit=5)
    assert len(parsed.instances) + len(parsed.rejections) > 0


@given(st.lists(INSTRUCTIONS, min_size=1, max_size=8), st.data())
def test_a_cut_reply_never_yields_its_last_item(
    instructions: list[str], data: st.DataObject
) -> None:
    text = "\n".join(f"{n}. {line}" for n, line in enumerate(instructions, start=9))
    cut = data.draw(st.integers(0, len(text)))
    whole = [parse._tidy(line) for line in instructions]
    kept = found(text[:cut], finish_reason="length")
    assert kept == whole[: len(kept)]
    assert len(kept) < len(whole)


@pytest.mark.parametrize(
    "text",
    [
        "Example 1" + " " * 100_000 + "x",
        "Input" + " " * 100_000 + "x",
        " " * 100_000 + "x",
        "\n" * 100_000,
        "<think>" * 20_000,
        "9. " * 30_000,
        "*" * 100_000,
        "sorry, " * 20_000,
    ],
    ids=lambda text: text[:12].strip() or "blank",
)
def test_no_text_keeps_a_parser_busy(text: str) -> None:
    """Models loop; a hundred thousand characters of anything take no more than a moment."""
    began = time.process_time()
    completion = make_completion(text)
    parse.instructions(ID, completion)
    parse.yes_or_no(completion)
    for output_first in (True, False):
        parse.instances(ID, completion, output_first=output_first, limit=5)
    # A quadratic pattern takes half a minute here, a linear one some milliseconds.
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", "yes"),
        ("no", "no"),
        ("Yes.", "yes"),
        ("**No**", "no"),
        ("No\n\nTask: another one", "no"),
        ("Yes, it asks for a label.", "yes"),
        ("continue", "unclear"),
        ("Nobody knows", "unclear"),
        ("<think>Yes or no?</think>\n\nNo", "no"),
        ("Sure! Please send the task.", "unclear"),
        ("", "unclear"),
    ],
)
def test_an_answer_is_yes_no_or_unclear(text: str, answer: str) -> None:
    assert parse.yes_or_no(make_completion(text)) == answer


def instances(
    text: str, *, output_first: bool = False, finish_reason: str = "stop", limit: int = 5
) -> tuple[list[tuple[str, str]], list[Reason]]:
    completion = make_completion(text, finish_reason=finish_reason)
    parsed = parse.instances("instances/t", completion, output_first=output_first, limit=limit)
    return [(i.input, i.output) for i in parsed.instances], [r.reason for r in parsed.rejections]


@pytest.mark.parametrize(
    ("text", "kept", "reasons"),
    [
        ("Input: 2\nOutput: 4", [("2", "4")], []),
        ("Output: Rye & Shine", [("", "Rye & Shine")], []),
        (
            "Example 1\nInput: 2\nOutput: 4\nExample 2\nInput: 3\nOutput: 9",
            [("2", "4"), ("3", "9")],
            [],
        ),
        ("**Input:** 2\n**Output:** 4", [("2", "4")], []),
        ("input: 2\noutput: 4", [("2", "4")], []),
        ("Input: <noinput>\nOutput: 4", [("", "4")], []),
        ("Input: N/A\nOutput: 4", [("", "4")], []),
        ("Output: def f():\n    return 1", [("", "def f():\n    return 1")], []),
        ("Output: see Example 1 above", [("", "see Example 1 above")], []),
        ("Input: 2\nOutput: 4\nTask: invented\nInput: 5\nOutput: 6", [("2", "4")], []),
        ("Input: 2\nOutput:", [], [Reason.EMPTY_OUTPUT]),
        ("Input: 2\nOutput: N/A", [], [Reason.EMPTY_OUTPUT]),
        ("Input: 2\nOutput: 2", [], [Reason.OUTPUT_EQUALS_INPUT]),
        ("Input: 2\nOutput: 4\nInput: 2\nOutput: 4", [("2", "4")], [Reason.DUPLICATE_INSTANCE]),
        ("Input: 2\nOutput: 4\nInput: 2\nOutput: 5", [], [Reason.CONFLICTING_OUTPUTS] * 2),
        ("Input: 2\nand the answer is 4", [], [Reason.NO_OUTPUT]),
        ("Input: 2\nInput: 3\nOutput: 9", [("3", "9")], [Reason.NO_OUTPUT]),
        ("The answer is 4.", [], [Reason.NO_OUTPUT]),
        ("Input: 2\nOutput: As an AI, I cannot count.", [], [Reason.REFUSAL]),
        ("I'm sorry, I can't assist with that.", [], [Reason.REFUSAL]),
        ("", [], [Reason.EMPTY_REPLY]),
    ],
)
def test_input_first_instances_are_read(
    text: str, kept: list[tuple[str, str]], reasons: list[Reason]
) -> None:
    assert instances(text) == (kept, reasons)


@pytest.mark.parametrize(
    ("text", "kept", "reasons"),
    [
        (
            "Class label: yes\nInput: 97\nClass label: no\nInput: 91",
            [("97", "yes"), ("91", "no")],
            [],
        ),
        ("Class label: true", [("", "true")], []),
        (
            "Class label: a\nInput: x\nClass label: b\nInput: x",
            [],
            [Reason.CONFLICTING_OUTPUTS] * 2,
        ),
        ("Class label: a\nClass label: b", [], [Reason.CONFLICTING_OUTPUTS] * 2),
        ("Class label:\nInput: x", [], [Reason.EMPTY_OUTPUT]),
        ("Class label: a\nInput:\nClass label: b\nInput: x", [("x", "b")], [Reason.EMPTY_INPUT]),
        ("Class label: a\nInput: <noinput>", [("", "a")], []),
        ("positive", [], [Reason.NO_OUTPUT]),
    ],
)
def test_output_first_instances_are_read(
    text: str, kept: list[tuple[str, str]], reasons: list[Reason]
) -> None:
    assert instances(text, output_first=True) == (kept, reasons)


@pytest.mark.parametrize(
    ("text", "output_first", "kept"),
    [
        ("Input: 2\nOutput: 4\nInput: 3\nOutput: 9", False, [("2", "4")]),
        ("Input: 2\nOutput: 4\nInput: 3", False, [("2", "4")]),
        ("Input: 2\nOutput: 4\nExample 2\n", False, [("2", "4")]),
        ("Output: 4", False, []),
        ("Class label: a\nInput: x\nClass label: b\nInput: half a sen", True, [("x", "a")]),
        ("Class label: a\nInput: x\nClass label: b", True, [("x", "a")]),
    ],
)
def test_a_cut_reply_loses_its_last_instance_only(
    text: str, output_first: bool, kept: list[tuple[str, str]]
) -> None:
    assert instances(text, output_first=output_first, finish_reason="length")[0] == kept


def test_the_first_instances_in_text_order_are_kept() -> None:
    text = "\n".join(f"Input: {n}\nOutput: {n * n}" for n in range(2, 9))
    kept, reasons = instances(text, limit=3)
    assert kept == [("2", "4"), ("3", "9"), ("4", "16")]
    assert reasons == [Reason.OVER_LIMIT] * 4


def test_an_unusable_instance_does_not_count_towards_the_limit() -> None:
    kept, _ = instances("Input: 1\nOutput: 1\nInput: 2\nOutput: 4", limit=1)
    assert kept == [("2", "4")]
    assert Instance(input="2", output="4").output == "4"
