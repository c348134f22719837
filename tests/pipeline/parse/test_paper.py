"""Compare the profile "paper" with the published code, in fixed cases and, for any text, with an oracle."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import make_completion

from selfinstruct.pipeline.filters import rejection_reason
from selfinstruct.pipeline.parse import paper
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.records import Reason

ID = "generate/000001"


def read(text: str, *, continues: bool | None = True, finish_reason: str = "stop") -> list[str]:
    completion = make_completion(text, finish_reason=finish_reason)
    asked = AskedList(first_number=9, continues=continues)
    parsed = paper.instructions(ID, completion, asked)
    return [one.instruction for one in parsed.candidates]


def kept(text: str, *, continues: bool | None = True, finish_reason: str = "stop") -> list[str]:
    """Return the parsed instructions that pass the rules."""
    found = read(text, continues=continues, finish_reason=finish_reason)
    return [one for one in found if rejection_reason(one, SELF_INSTRUCT.rules["paper"]) is None]


def pairs(
    text: str, *, output_first: bool = False, finish_reason: str = "stop", limit: int | None = None
) -> list[tuple[str, str]]:
    completion = make_completion(text, finish_reason=finish_reason)
    asked = AskedInstances(output_first=output_first, limit=limit)
    return [(i.input, i.output) for i in paper.instances(ID, completion, asked).instances]


def reasons(text: str, *, output_first: bool = False, finish_reason: str = "stop") -> list[Reason]:
    completion = make_completion(text, finish_reason=finish_reason)
    asked = AskedInstances(output_first=output_first)
    return [one.reason for one in paper.instances(ID, completion, asked).rejections]


def block_tuples(
    text: str, *, continues: bool = True, finish_reason: str = "stop"
) -> list[tuple[str, str, str]]:
    completion = make_completion(text, finish_reason=finish_reason)
    asked = AskedList(first_number=4, continues=continues)
    return [
        (one.instruction, one.instance.input, one.instance.output)
        for one in paper.blocks(ID, completion, asked).candidates
        if one.instance is not None
    ]


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Name a river.\n10. Name a lake.", ["Name a river.", "Name a lake."]),
        # Any number continues the list, and a space may come before the full stop.
        (" Name a river.\n3 . Name a lake.", ["Name a river.", "Name a lake."]),
        # An item begins with a number, a full stop and a space.
        (" Name a river.\n10) Name a lake.", ["Name a river. 10) name a lake."]),
        (" Name a river.\n10.Name a lake.", ["Name a river. 10.name a lake."]),
        (" Name a river.\n  10. Name a lake.", ["Name a river. 10. name a lake."]),
        # White space becomes one space. All letters except the first become lower-case.
        (" explain  what\n\na PhD in AI is", ["Explain what a phd in ai is"]),
        (" <think>Hm.</think> Sum up.", ["<think>hm.</think> sum up."]),
        (" Name a river.\n10. \n11. Name a lake.", ["Name a river.", "Name a lake."]),
        ("Sure, here you are:\n9. Name a river.", ["Sure, here you are:", "Name a river."]),
        ("9. Name a river.\n10. Name a lake.", ["9. name a river.", "Name a lake."]),
    ],
)
def test_a_list_is_split_and_capitalised_as_published(text: str, expected: list[str]) -> None:
    assert read(text) == expected


def test_a_chat_list_may_start_with_its_number() -> None:
    text = "9. Name a river.\n10. Name a lake."
    assert read(text, continues=False) == ["Name a river.", "Name a lake."]
    assert read("\n\n" + text, continues=False) == ["Name a river.", "Name a lake."]
    # An introduction counts as an item, which the rules may reject.
    assert read(f"Sure:\n{text}", continues=False) == ["Sure:", "Name a river.", "Name a lake."]


def test_a_truncated_list_is_dropped_as_a_whole() -> None:
    completion = make_completion(" Name a river.\n10. Name a la", finish_reason="length")
    parsed = paper.instructions(ID, completion, AskedList(continues=True))
    assert parsed.candidates == ()
    assert [(r.candidate_id, r.reason) for r in parsed.rejections] == [
        (f"{ID}#0", Reason.TRUNCATED)
    ]


@pytest.mark.parametrize("continues", [True, False])
def test_an_empty_reply_gives_one_rejection(*, continues: bool) -> None:
    completion = make_completion(" \n")
    parsed = paper.instructions(ID, completion, AskedList(continues=continues))
    assert parsed.candidates == ()
    assert [(r.candidate_id, r.reason) for r in parsed.rejections] == [
        (f"{ID}#0", Reason.EMPTY_REPLY)
    ]


def test_an_empty_item_keeps_its_number() -> None:
    completion = make_completion(" Name a river.\n10. \n11. Name a lake.")
    parsed = paper.instructions(ID, completion, AskedList(continues=True))
    assert [c.id for c in parsed.candidates] == [f"{ID}#1", f"{ID}#3"]
    assert [(r.candidate_id, r.reason) for r in parsed.rejections] == [(f"{ID}#2", Reason.EMPTY)]


BANNED = (
    "image",
    "images",
    "graph",
    "graphs",
    "picture",
    "pictures",
    "file",
    "files",
    "map",
    "maps",
    "draw",
    "plot",
    "go to",
)


def published_list(text: str, finish_reason: str | None) -> list[str]:
    """Return the instructions that the published code accepts, computed independently of our parser."""
    if finish_reason == "length":
        return []
    pieces: list[str] = []
    rest = text
    while (found := re.search(r"\n\d+\s?\. ", rest)) is not None:
        pieces.append(rest[: found.start()])
        rest = rest[found.end() :]
    yielded = []
    for piece in [*pieces, rest]:
        words = re.split(r"\s+", piece.strip())
        one = " ".join(words).strip().capitalize()
        is_unusable = (
            one == ""
            or not 3 < len(one.split()) <= 150
            or any(re.search(rf"\b{word}\b", one, re.IGNORECASE) for word in BANNED)
            or one.startswith("Write a program")
            or one[0] in string.punctuation
            or ord(one[0]) > 127
        )
        if not is_unusable:
            yielded.append(one)
    return yielded


PIECES = st.lists(
    st.sampled_from(
        ["\n", "\n\n", "10. ", "\n10. ", "\n11 . ", "\n12.", "\n٣. ", " ", "\x1c", "\u2028"]
    )
    | st.sampled_from(
        ["write a program", "Write a program that sorts", "WRITE A Program", "#", "é"]
    )
    | st.sampled_from(
        ["Name three long rivers", "of the world", "Go To the", "maps", "map_", "Files"]
    )
    | st.sampled_from(["word " * 74, "one two three", "four", "ß", "İx", "ŉ", "ﬁ", "(", "~", "1"])
    | st.text(max_size=6),
    max_size=16,
).map("".join)
FINISH = st.sampled_from(["stop", "length", "content_filter", None])


@given(PIECES | st.text(), FINISH)
@example(" " + "word " * 150 + "\n10. " + "word " * 151, "stop")
@example(" one two three\n10. one two three four", "stop")
def test_a_continued_list_gives_the_published_instructions(
    text: str, finish_reason: str | None
) -> None:
    completion = make_completion(text, finish_reason=finish_reason)
    parsed = paper.instructions(ID, completion, AskedList(continues=True))
    found = [one.instruction for one in parsed.candidates]
    found = [one for one in found if rejection_reason(one, SELF_INSTRUCT.rules["paper"]) is None]
    assert found == published_list(text, finish_reason)


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["Yes", "yes", "YES", " Yes\n", "\nyes "])
def test_three_spellings_mean_yes(text: str) -> None:
    assert paper.answer(make_completion(text), "") == "yes"


@pytest.mark.parametrize("text", ["Yes.", "yEs", "Yes\n\nTask: a", "**Yes**", "No", "", "continue"])
def test_any_other_answer_is_no(text: str) -> None:
    assert paper.answer(make_completion(text), "") == "no"


# ── instances ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Input: 2\nOutput: 4", [("2", "4")]),
        ("Output: Rye & Shine", [("", "Rye & Shine")]),
        (
            "Example 1\nInput: 2\nOutput: 4\nExample 2.\nInput: 3\nOutput: 9",
            [("2", "4"), ("3", "9")],
        ),
        # "Example" splits anywhere, even in a sentence or a longer word.
        ("Output: for Example, a cat", [("", "for"), ("", ", a cat")]),
        ("Output: Examples of it", [("", "s of it")]),
        # An example without a marker is an output.
        ("Example 1\nA cat.\nExample 2\nInput: 2\nOutput: 4", [("", "A cat."), ("2", "4")]),
        # A text without "Example" needs an "Output:".
        ("A cat.", []),
        ("Input: 2\nand the answer is 4", []),
        # Markers are case-sensitive. A text without "Example" has one pair.
        ("input: 2\noutput: 4", []),
        ("Input: 2\nOutput: 4\nInput: 3\nOutput: 9", [("2", "4")]),
        ("Input 1: 2\nOutput 1 : 4", [("2", "4")]),
        ("List: 2\nOutput: 4", [("List: 2", "4")]),
        ("Input: 2\nOutput: 4\nTask: another", [("2", "4\nTask: another")]),
        ("Input: <noinput>\nOutput: 4", [("<noinput>", "4")]),
        ("Input: 2\nOutput: N/A", [("2", "N/A")]),
        ("Input: 2\nOutput:", []),
        ("Input: 2\nOutput: 2", []),
        ("Input: 2\nOutput: as follows:", []),
        ("Input: the list:\nOutput: 2", []),
        ("", []),
    ],
)
def test_examples_are_split_as_published(text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Class label: a\nInput: x\nClass label: b\ny", [("Input: x", "a"), ("y", "b")]),
        ("Class label: a", [("", "a")]),
        ("Class label: a\nx\nand more", [("x\nand more", "a")]),
        ("class label: a\nx", []),
        ("Class label:\na\nx", [("x", "a")]),
        ("Class label:", []),
        ("positive", []),
        ("Class label: a\nx:", []),
    ],
)
def test_labels_are_split_as_published(text: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(text, output_first=True) == expected


def test_a_conflict_drops_all_instances_of_the_task() -> None:
    text = "Class label: a\nx\nClass label: b\nx\nClass label: c\ny"
    assert pairs(text, output_first=True) == []
    assert reasons(text, output_first=True) == [Reason.CONFLICTING_OUTPUTS] * 3
    # An invalid instance keeps its reason.
    text += "\nClass label: d\nz:"
    assert reasons(text, output_first=True)[3] == Reason.ENDS_IN_COLON
    # If the input is empty, several outputs never conflict, even if they are labels.
    assert pairs("Class label: a\nClass label: b", output_first=True) == [("", "a"), ("", "b")]


def test_a_rejected_instance_never_conflicts() -> None:
    text = "Example 1\nInput: x\nOutput: as follows:\nExample 2\nInput: x\nOutput: 3"
    assert pairs(text) == [("x", "3")]


def test_a_truncated_reply_loses_its_last_instance() -> None:
    text = "Example 1\nInput: 2\nOutput: 4\nExample 2\nInput: 3\nOutput: 9"
    assert pairs(text, finish_reason="length") == [("2", "4")]
    assert reasons(text, finish_reason="length") == [Reason.TRUNCATED]
    # The published code ignores the finish reason "content_filter".
    assert pairs(text, finish_reason="content_filter") == [("2", "4"), ("3", "9")]


def test_the_first_good_instances_are_accepted() -> None:
    text = "\n".join(f"Example {n}\nInput: {n // 2}\nOutput: x{n // 2}" for n in range(2, 8))
    assert pairs(text, limit=2) == [("1", "x1"), ("2", "x2")]
    completion = make_completion(text)
    parsed = paper.instances(ID, completion, AskedInstances(output_first=False, limit=2))
    duplicate, over = Reason.DUPLICATE_INSTANCE, Reason.OVER_LIMIT
    assert [one.reason for one in parsed.rejections] == [duplicate, duplicate, over, over]


def published_instances(
    text: str, finish_reason: str | None, *, output_first: bool
) -> list[tuple[str, str]]:
    """Return the instances that the published code accepts before it samples five of them.

    They are computed independently of our parser.
    """
    found: list[tuple[str, str]] = []
    if output_first:
        for part in text.split("Class label:")[1:]:
            lines = part.strip().split("\n")
            found.append(("\n".join(lines[1:]).strip(), lines[0].strip()))
    else:
        text = text.strip()
        if re.search(r"Example\s?\d*\.?", text):
            parts = [part.strip() for part in re.split(r"Example\s?\d*\.?", text)]
        elif re.search(r"Output\s*\d*\s*:", text):
            parts = [text]
        else:
            return []
        for part in filter(None, parts):
            given, mark, output = "", re.search(r"Output\s*\d*\s*:", part), part
            if mark is not None:
                following = re.search(r"Output\s*\d*\s*:", part[mark.end() :])
                end = len(part) if following is None else mark.end() + following.start()
                given, output = part[: mark.start()].strip(), part[mark.end() : end].strip()
            again = re.search(r"Input\s*\d*\s*:", output)
            output = output if again is None else output[: again.start()].strip()
            found.append((re.sub(r"^Input\s*\d*\s*:", "", given).strip(), output))
    if finish_reason == "length":
        found = found[:-1]
    found = [
        (given, output)
        for given, output in found
        if given != output and output and not given.endswith(":") and not output.endswith(":")
    ]
    for given, output in found:
        if given and any(given == other and output != another for other, another in found):
            return []
    return list(dict.fromkeys(found))


INSTANCE_PIECES = st.lists(
    st.sampled_from(["Input:", "Input 1 :", "Output:", "Output 2:", "Output\n3 :", "Class label:"])
    | st.sampled_from(
        ["Example", "Example 1", "Example 2.", "Example\t3", "\n", "\n", " ", ":", "\r"]
    )
    | st.sampled_from(["a", "b", "Task:", "output:", "Class label: a\n", "Class label: b\n"])
    | st.text(max_size=4),
    max_size=20,
).map("".join)


@given(INSTANCE_PIECES | st.text(), FINISH, st.booleans())
@example("Class label: a\nx\nClass label: b\nx\nClass label: c\ny", "stop", True)
def test_instances_match_the_published_code(
    text: str, finish_reason: str | None, output_first: bool
) -> None:
    completion = make_completion(text, finish_reason=finish_reason)
    parsed = paper.instances(ID, completion, AskedInstances(output_first=output_first))
    found = [(one.input, one.output) for one in parsed.instances]
    assert found == published_instances(text, finish_reason, output_first=output_first)


# ── Alpaca's blocks ──────────────────────────────────────────────────────────────────────────────────────

TWO_BLOCKS = (
    " Add the numbers.\n4. Input:\n3, 4\n4. Output:\n7\n###\n"
    "5. Instruction: Name a lake.\n5. Input:\n<noinput>\n5. Output:\nLake Como"
)
BOTH = [("Add the numbers.", "3, 4", "7"), ("Name a lake.", "", "Lake Como")]


def test_blocks_continue_the_marker_of_the_prompt() -> None:
    assert block_tuples(TWO_BLOCKS) == BOTH


def test_a_chat_model_may_repeat_the_marker() -> None:
    assert block_tuples(f"4. Instruction:{TWO_BLOCKS}", continues=False) == BOTH
    assert block_tuples(f"###\n4. Instruction:{TWO_BLOCKS}", continues=False) == BOTH
    assert block_tuples(TWO_BLOCKS, continues=False) == BOTH
    # A base model's reply that repeats the marker has one marker too many, as in the published code.
    assert block_tuples(f"4. Instruction:{TWO_BLOCKS}") == BOTH[1:]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("5. Instruction", "6. Instruction"),
        ("5. Input", "4. Input"),
        ("5. Output:", "Output:"),
        ("5. Output:\nLake Como", ""),
        ("Lake Como", "Lake Como\n5. Input:\nmore"),
        ("5. Output:", "5.Output:"),
        ("5. Input:", "5. input:"),
        ("###\n", "###\n###\n"),
    ],
)
def test_a_block_needs_its_number_and_three_markers(old: str, new: str) -> None:
    assert old in TWO_BLOCKS
    text = TWO_BLOCKS.replace(old, new)
    completion = make_completion(text)
    parsed = paper.blocks(ID, completion, AskedList(first_number=4, continues=True))
    assert [one.instruction for one in parsed.candidates] == ["Add the numbers."]
    assert {one.reason for one in parsed.rejections} == {Reason.MALFORMED}


def test_a_truncated_reply_loses_its_last_block() -> None:
    assert block_tuples(TWO_BLOCKS, finish_reason="length") == BOTH[:1]
    assert block_tuples(TWO_BLOCKS, finish_reason="content_filter") == BOTH


@pytest.mark.parametrize("given", ["<noinput>", "<NoInput>", "  <noinput>\n"])
def test_noinput_means_an_empty_input(given: str) -> None:
    assert block_tuples(TWO_BLOCKS.replace("3, 4", given))[0][1] == ""


@pytest.mark.parametrize("given", ["<no input>", "N/A", "noinput"])
def test_other_spellings_of_noinput_are_inputs(given: str) -> None:
    assert block_tuples(TWO_BLOCKS.replace("3, 4", given))[0][1] == given


def published_blocks(text: str, finish_reason: str | None) -> list[tuple[str, str, str]]:
    """Return the blocks that the published code finds if the prompt ends in "4. Instruction:".

    They are computed independently of our parser.
    """
    parts = f"4. Instruction:{text}".split("###")
    if finish_reason == "length":
        parts = parts[:-1]
    found = []
    for number, part in enumerate(parts, start=4):
        marks = list(re.finditer(rf"{number}\.\s+(Instruction|Input|Output):", part))
        if len(marks) != 3:
            continue
        first, second, third = marks
        given = part[second.end() : third.start()].strip()
        given = given if given.lower() != "<noinput>" else ""
        found.append(
            (part[first.end() : second.start()].strip(), given, part[third.end() :].strip())
        )
    return found


BLOCK_PIECES = st.lists(
    st.sampled_from(
        ["4. Instruction:", "4. Input:", "4.  Output:", "4. Output:\n", "###", "\n###\n"]
    )
    | st.sampled_from(["5. Instruction:", "5. Input:", "5.\nOutput:", "14. Input:", "6. Output:"])
    | st.sampled_from(["<noinput>", "<NOINPUT>", " ", "\n", "a", "b c", "4.", "Input:"])
    | st.text(max_size=4),
    max_size=20,
).map("".join)


@given(BLOCK_PIECES | st.text(), FINISH)
@example("a\n4. Output:b\n4. Input:c", "stop")
def test_blocks_match_the_published_code(text: str, finish_reason: str | None) -> None:
    completion = make_completion(text, finish_reason=finish_reason)
    parsed = paper.blocks(ID, completion, AskedList(first_number=4, continues=True))
    found = [
        (one.instruction, one.instance.input, one.instance.output)
        for one in parsed.candidates
        if one.instance is not None
    ]
    assert found == published_blocks(text, finish_reason)
