"""Test properties of every parser for any reply, with random markers, numbers, reasoning and headings."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_completion

from selfinstruct.pipeline.decision_profiles import PROFILES
from selfinstruct.pipeline.parse.shared import is_placeholder
from selfinstruct.pipeline.parse.types import (
    AskedInstances,
    AskedList,
    InstanceParser,
    ListParser,
    pair_text,
)
from selfinstruct.pipeline.recipes import RECIPES
from selfinstruct.pipeline.recipes.alpaca import ALPACA
from selfinstruct.pipeline.recipes.self_instruct import SELF_INSTRUCT
from selfinstruct.pipeline.recipes.types import ClassifyStage, InstancesStage
from selfinstruct.records import Completion, Instance, Rejection

ID = "generate/000001"

# ── parts of replies ────────────────────────────────────────────────────────────────────────────────────

_MARKS = [
    *("Input:", "**Input:**", "Input 2:", "### Input", "input :", "입력:", "Entrada:", "- Input:"),
    *("Output:", "**Output:**", "Output 2:", "## Output:", "output :", "Output：", "출력:"),
    *("Salida:", "Class label:", "**Class label:**", "Label:", "Category:", "标签：", "Answer:"),
    *("Result:", "Example", "Example 1", "Example 2:", "**Example 3**", "예시 2", "Example:"),
    *("Sentence:", "Task:", "Task 9:", "Next task:", "## Task", "Task", "Is it classification?"),
    *("Instruction:", "1. ", "2. ", "8. ", "9. ", "10. ", "11. ", "9)", "10)", "**9.**"),
    *("**10.** ", "9 . ", "1990. ", "９．", "10、", "Task 10: ", "- ", "* ", "• "),
    *("4. Instruction:", "4. Input:", "4. Output:", "5. Instruction:", "5. Input:"),
    *("5.  Output:", "4. Instruction: ", "**4. Output:**", "4.", "###", "---", "***", "**", "__"),
    *("#", ":", "?", ".", '"', "“", "`", "\0", "\ufeff", "\x1c"),
    *("<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>", "<|im_end|>"),
    *("<｜User｜>", "Thinking Process:", "analysisWe", "assistantfinal", "<thought>", "</thought>"),
    *("<answer>", "[THINK]", "<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>"),
    *("◁think▷", "◁/think▷", "[INST]", "</s>", "<think>", "</think>", "<thinking>"),
    *("</thinking>", "`<think>`", '"<think>"', "<THINK>", "<noinput>", "<No Input>", "N/A"),
    *("None", "-", "…", "I'm sorry, but I can't help.", "As an AI,", "Sure! Here are the tasks:"),
    *("Here is one:", "Let me know if you want more!", "I hope", "```python\n", "```"),
    *("def f(x):\n    return x", "SELECT x FROM y;", "(", "}", "1989: the wall", "Yes", "no"),
    *("Yes.", "No,", "it is", "I can help", "The answer is", "Yes/No", "and"),
    *("Come up with a series of tasks:", "Name a river.", "Name a lake in Spain", "Ärger", "İ"),
    *("ŉ", "한국어로 쓰세요.", "請寫一首詩。", "นำ"),
    *("x", "ß", "ﬁ", "\u0301", "\U0001f469\u200d\U0001f52c"),
]
_BREAKS = [
    *("\n", "\n", "\n", "\n\n", "\r\n", "\r", " ", " ", "\t", "\u2028", "\x85", "\xa0", "\u3000"),
]
_HOLED = st.lists(
    st.sampled_from(_BREAKS) | st.sampled_from(_MARKS) | st.text(max_size=6), max_size=24
)
TEXTS = _HOLED.map("".join) | _HOLED.map("\n".join) | st.text()

DEMONSTRATIONS = ("Name a river.", "Name a lake in Spain")
COMPLETIONS = st.builds(
    make_completion,
    TEXTS,
    finish_reason=st.sampled_from(["stop", "length", "content_filter", None]),
)
ASKED_LISTS = st.builds(
    AskedList,
    first_number=st.sampled_from([9, 4, 3, 1]),
    demonstrations=st.sampled_from([None, (), DEMONSTRATIONS]),
    continues=st.sampled_from([True, False, None]),
)
ASKED_INSTANCES = st.builds(
    AskedInstances,
    output_first=st.booleans(),
    instruction=st.sampled_from(
        ["", "Name a river.", "Write a function f.", "Name a lake in Spain", "Sum up the text."]
    ),
    limit=st.sampled_from([None, 1, 2, 5]),
)
LIST_PARSERS = [
    pytest.param(recipe.generate.parsers[profile], id=f"{profile}-{name}")
    for profile in PROFILES
    for name, recipe in RECIPES.items()
]
ANSWERS = SELF_INSTRUCT.stage(ClassifyStage).parsers
INSTANCES = SELF_INSTRUCT.stage(InstancesStage).parsers
INSTANCE_PARSERS = [pytest.param(INSTANCES[name], id=name) for name in PROFILES]


def _invented(texts: Sequence[str], reply: str) -> list[str]:
    """Return the words in `texts` that do not occur in the reply, ignoring letter case and bold print."""
    said = reply.casefold().replace("*", "")
    return [
        word
        for text in texts
        for word in text.casefold().replace("*", "").split()
        if word not in said
    ]


def _places(rejections: Sequence[Rejection]) -> list[int]:
    """Return the item numbers of the rejections, after checking their request ids."""
    assert all(one.candidate_id.startswith(f"{ID}#") for one in rejections)
    return [int(one.candidate_id.removeprefix(f"{ID}#")) for one in rejections]


# ── lists ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("parse", LIST_PARSERS)
@given(completion=COMPLETIONS, asked=ASKED_LISTS)
def test_each_list_item_is_accepted_or_rejected_once(
    parse: ListParser, completion: Completion, asked: AskedList
) -> None:
    parsed = parse(ID, completion, asked)

    numbers = [int(one.id.removeprefix(f"{ID}#")) for one in parsed.candidates]
    assert numbers == sorted(numbers)
    every = sorted(numbers + _places(parsed.rejections))
    assert every == [0] or every == list(range(1, len(every) + 1)) != []

    texts = [one.instruction for one in parsed.candidates]
    texts += [pair_text(one.instance) for one in parsed.candidates if one.instance is not None]
    texts += [one.text for one in parsed.rejections]
    # An Alpaca prompt ends in this marker, which parsers treat as part of the reply.
    begun = f"{asked.first_number}. Instruction:{completion.text}"
    assert _invented(texts, begun) == []


@pytest.mark.parametrize("recipe", RECIPES)
@given(completion=COMPLETIONS, asked=ASKED_LISTS)
def test_default_candidates_have_valid_outputs(
    recipe: str, completion: Completion, asked: AskedList
) -> None:
    for candidate in RECIPES[recipe].generate.parsers["default"](ID, completion, asked).candidates:
        instance = candidate.instance
        assert instance is None or not is_placeholder(instance.output)
        assert instance is None or instance.input != instance.output
        assert "\n" not in candidate.instruction


# ── instances and answers ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("parse", INSTANCE_PARSERS)
@given(completion=COMPLETIONS, asked=ASKED_INSTANCES)
def test_each_instance_is_accepted_or_rejected_once(
    parse: InstanceParser, completion: Completion, asked: AskedInstances
) -> None:
    parsed = parse(ID, completion, asked)

    places = _places(parsed.rejections)
    count = len(parsed.instances) + len(places)
    assert len(set(places)) == len(places)
    assert (places == [0] and count == 1) or all(1 <= place <= count for place in places)
    assert count > 0
    assert asked.limit is None or len(parsed.instances) <= asked.limit

    texts = [pair_text(one) for one in parsed.instances] + [one.text for one in parsed.rejections]
    assert _invented(texts, completion.text) == []


@given(completion=COMPLETIONS, asked=ASKED_INSTANCES)
def test_default_instances_have_no_placeholders_or_conflicts(
    completion: Completion, asked: AskedInstances
) -> None:
    kept = INSTANCES["default"](ID, completion, asked).instances
    assert not any(is_placeholder(one.output) for one in kept)
    assert not any(one.output.endswith(":") or one.output == one.input for one in kept)
    assert len(set(kept)) == len(kept)
    inputs = [one.input for one in kept if one.input or asked.output_first]
    assert len(set(inputs)) == len(inputs)


@pytest.mark.parametrize("name", PROFILES)
@given(completion=COMPLETIONS, instruction=st.sampled_from(["", "Name a river."]) | TEXTS)
def test_an_answer_occurs_in_the_reply(name: str, completion: Completion, instruction: str) -> None:
    answer = ANSWERS[name](completion, instruction)
    if name == "paper":
        assert answer in ("yes", "no")
        assert answer == "no" or completion.text.strip().lower() == "yes"
    else:
        assert answer == "unclear" or answer in completion.text.lower()


# ── rendered texts, parsed back ─────────────────────────────────────────────────────────────────────────

# Words in any script that have no special meaning for the parsers, so that results can be compared exactly.
# The profile "paper" splits at "Example" anywhere.
WORD = st.text(
    alphabet=st.characters(categories=["Lu", "Ll", "Lo", "Mn"], exclude_characters="\u0345"),
    min_size=1,
    max_size=8,
).map(lambda word: f"q{word}".replace("Example", "example"))
SENTENCE = st.lists(WORD, min_size=1, max_size=5).map(lambda words: f"{' '.join(words)}.")
LISTS = st.lists(SENTENCE, min_size=1, max_size=8)
TEXT_BLOCK = st.lists(SENTENCE, min_size=1, max_size=3).map("\n".join)
PAIRS = st.lists(
    st.builds(Instance, input=TEXT_BLOCK.map(lambda t: f"q{t}"), output=TEXT_BLOCK),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.input,
).filter(lambda pairs: all(one.input != one.output for one in pairs))
BLOCKS = st.lists(
    st.tuples(SENTENCE, st.just("") | TEXT_BLOCK.map(lambda t: f"q{t}"), TEXT_BLOCK),
    min_size=1,
    max_size=4,
).filter(lambda found: all(given != output for _, given, output in found))


def _rendered_list(instructions: Sequence[str], continues: bool | None) -> str:
    text = "\n".join(f"{n}. {line}" for n, line in enumerate(instructions, start=9))
    return text.removeprefix("9.") if continues else text


def _rendered_blocks(found: Sequence[tuple[str, str, str]], *, continues: bool) -> str:
    text = "\n###\n".join(
        f"{n}. Instruction: {instruction}\n{n}. Input:\n{given or '<noinput>'}\n{n}. Output:\n{output}"
        for n, (instruction, given, output) in enumerate(found, start=4)
    )
    return text.removeprefix("4. Instruction:") if continues else text


def _rendered_pairs(pairs: Sequence[Instance]) -> str:
    return "\n".join(
        f"Example {n}\nInput: {pair.input}\nOutput: {pair.output}"
        for n, pair in enumerate(pairs, start=1)
    )


def _rendered_labels(pairs: Sequence[Instance]) -> str:
    return "\n".join(
        f"Class label: {pair.output.splitlines()[0]}\nInput: {pair.input}" for pair in pairs
    )


def _read_list(name: str, text: str, continues: bool | None, finish_reason: str) -> list[str]:
    parsed = SELF_INSTRUCT.generate.parsers[name](
        ID,
        make_completion(text, finish_reason=finish_reason),
        AskedList(first_number=9, demonstrations=(), continues=continues),
    )
    return [one.instruction for one in parsed.candidates]


def _read_blocks(
    name: str, text: str, *, continues: bool, finish_reason: str
) -> list[tuple[str, str, str]]:
    parsed = ALPACA.generate.parsers[name](
        ID,
        make_completion(text, finish_reason=finish_reason),
        AskedList(first_number=4, demonstrations=(), continues=continues),
    )
    return [
        (one.instruction, one.instance.input, one.instance.output)
        for one in parsed.candidates
        if one.instance is not None
    ]


def _read_pairs(name: str, text: str, *, output_first: bool, finish_reason: str) -> list[Instance]:
    parsed = INSTANCES[name](
        ID,
        make_completion(text, finish_reason=finish_reason),
        AskedInstances(output_first=output_first),
    )
    return list(parsed.instances)


@pytest.mark.parametrize("name", PROFILES)
@given(instructions=LISTS, continues=st.booleans())
def test_a_rendered_list_is_parsed_back(
    name: str, instructions: list[str], continues: bool
) -> None:
    expected = instructions if name == "default" else [text.capitalize() for text in instructions]
    found = _read_list(name, _rendered_list(instructions, continues), continues, "stop")
    assert found == expected


@given(
    instructions=LISTS, marker=st.sampled_from(["{}) ", "**{}.** ", "- {}. ", "Task {}: ", "{}、"])
)
def test_lists_with_any_numbering_are_parsed_back(instructions: list[str], marker: str) -> None:
    text = "\n\n".join(marker.format(n) + line for n, line in enumerate(instructions, start=9))
    assert _read_list("default", text, continues=False, finish_reason="stop") == instructions


@pytest.mark.parametrize("name", PROFILES)
@given(found=BLOCKS, continues=st.booleans())
def test_rendered_blocks_are_parsed_back(
    name: str, found: list[tuple[str, str, str]], continues: bool
) -> None:
    text = _rendered_blocks(found, continues=continues)
    assert _read_blocks(name, text, continues=continues, finish_reason="stop") == found


@pytest.mark.parametrize("name", PROFILES)
@given(pairs=PAIRS)
def test_rendered_instances_are_parsed_back(name: str, pairs: list[Instance]) -> None:
    text = _rendered_pairs(pairs)
    assert _read_pairs(name, text, output_first=False, finish_reason="stop") == pairs


@given(pairs=PAIRS)
def test_rendered_labels_are_parsed_back(pairs: list[Instance]) -> None:
    labelled = [Instance(input=one.input, output=one.output.splitlines()[0]) for one in pairs]
    found = _read_pairs(
        "default", _rendered_labels(labelled), output_first=True, finish_reason="stop"
    )
    assert found == labelled


# ── truncated replies ───────────────────────────────────────────────────────────────────────────────────


@given(instructions=LISTS, continues=st.booleans(), where=st.floats(0, 1))
def test_a_truncated_list_loses_only_its_last_item(
    instructions: list[str], continues: bool, where: float
) -> None:
    text = _rendered_list(instructions, continues)
    cut = text[: round(where * len(text))]
    kept = _read_list("default", cut, continues, "length")
    assert kept == instructions[: len(kept)]
    begun = _begun(text, cut, [f"\n{n}." for n in range(10, 17)])
    assert len(kept) == max(0, begun - 1)


@pytest.mark.parametrize("name", PROFILES)
@given(found=BLOCKS, continues=st.booleans(), where=st.floats(0, 1))
def test_truncated_blocks_lose_only_the_last_one(
    name: str, found: list[tuple[str, str, str]], continues: bool, where: float
) -> None:
    text = _rendered_blocks(found, continues=continues)
    cut = text[: round(where * len(text))]
    kept = _read_blocks(name, cut, continues=continues, finish_reason="length")
    assert kept == found[: len(kept)]
    begun = _begun(text, cut, ["###"] * 4)  # "###" ends a block
    assert len(kept) == max(0, begun - 1)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("output_first", [False, True])
@given(pairs=PAIRS, where=st.floats(0, 1))
def test_truncated_instances_lose_only_the_last_one(
    name: str, output_first: bool, pairs: list[Instance], where: float
) -> None:
    if output_first:
        pairs = [Instance(input=one.input, output=one.output.splitlines()[0]) for one in pairs]
        text = _rendered_labels(pairs)
    else:
        text = _rendered_pairs(pairs)
    cut = text[: round(where * len(text))]
    whole = _read_pairs(name, text, output_first=output_first, finish_reason="stop")
    kept = _read_pairs(name, cut, output_first=output_first, finish_reason="length")
    assert kept == whole[: len(kept)]
    assert len(kept) < len(whole)


def _begun(text: str, cut: str, marks: Sequence[str]) -> int:
    """Return the number of items in a truncated text: the number of marks before the cut, plus one."""
    place = 0
    begun = 1
    for mark in marks:
        place = text.find(mark, place)
        if place < 0 or place + len(mark) > len(cut):
            break
        place += len(mark)
        begun += 1
    return begun


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

_SIZE = 50_000
_SECONDS = 4
"""Maximum processor time in seconds. Linear patterns take less than one second, quadratic ones take
minutes."""
HOSTILE = {
    "blanks": " " * _SIZE,
    "blanks before a sign": " " * _SIZE + "x",
    "lines of blanks": (" " * 99 + "\n") * (_SIZE // 100),
    "newlines": "\n" * _SIZE,
    "tabs and newlines": "\t\n" * (_SIZE // 2),
    "asterisks": "*" * _SIZE,
    "asterisks apart": "** " * (_SIZE // 3),
    "bold words": "**a" * (_SIZE // 3),
    "quotes": '"' * _SIZE,
    "hashes": "#" * _SIZE,
    "dashes": "- " * (_SIZE // 2),
    "thoughts": "<think>" * (_SIZE // 7),
    "ends of thoughts": "</think> " * (_SIZE // 9),
    "quoted thoughts": "`<think>" * (_SIZE // 8),
    "tags of thoughts": "<thought>" * (_SIZE // 9),
    "channels": "<|channel|>final " * (_SIZE // 17),
    "messages": "<|channel|>final<|message|>" * (_SIZE // 27),
    "beginnings of tokens": "<|" * (_SIZE // 2),
    "beginnings of words": "<|a" * (_SIZE // 3),
    "headings of thoughts": "Thinking process: " * (_SIZE // 18),
    "headings of thoughts in lines": "Thinking process:\n" * (_SIZE // 18),
    "bare channels": "analysisWe" + "assistant " * (_SIZE // 10),
    "beginnings of turns": "<|assistant|>" * (_SIZE // 13),
    "numbers": "9. " * (_SIZE // 3),
    "numbers in lines": "9. a\n" * (_SIZE // 5),
    "rising numbers in a line": " ".join(f"{n}. Do it." for n in range(9, 5000)),
    "rising numbers in lines": "\n".join(f"{n}. Do it." for n in range(9, 5000)),
    "digits": "9" * _SIZE,
    "example and blanks": "Example 1" + " " * _SIZE + "x",
    "input and blanks": "Input" + " " * _SIZE + "x",
    "bold input and blanks": "**Input" + " " * _SIZE + "x",
    "task and blanks": "Task" + " " * _SIZE + "x",
    "instruction and blanks": "4. Instruction:" + " " * _SIZE + "x",
    "inputs": "Input:\n" * (_SIZE // 7),
    "inputs in a line": "Input: " * (_SIZE // 7),
    "outputs": "Output: a\n" * (_SIZE // 10),
    "pairs": "Input: a\nOutput: b\n" * (_SIZE // 19),
    "different pairs": "".join(f"Input: {n}\nOutput: x{n}\n" for n in range(_SIZE // 25)),
    "labels": "Class label: a\n" * (_SIZE // 15),
    "examples": "Example 1\n" * (_SIZE // 10),
    "examples in a line": "Example " * (_SIZE // 8),
    "tasks": "Task: a\n" * (_SIZE // 8),
    "blocks": "4. Instruction: a\n4. Input:\nb\n4. Output:\nc\n###\n" * (_SIZE // 49),
    "block ends": "###\n" * (_SIZE // 4),
    "apologies": "sorry, " * (_SIZE // 7),
    "announcements": "Sure! " * (_SIZE // 6),
    "underscores": "_" * _SIZE,
    "no input": "no " * (_SIZE // 3),
    "one word": "a" * _SIZE,
    "letters and colons": "a:" * (_SIZE // 2),
    "words": "do it " * (_SIZE // 6),
    "sentences": "Do it. " * (_SIZE // 7),
    "full-width": "９．" * (_SIZE // 2),
    "brackets": "def f(" * (_SIZE // 6),
    "backticks": "```\n" * (_SIZE // 4),
    "selects": "select a\n" * (_SIZE // 9),
    "loops": "for a in b" * (_SIZE // 10),
    "goodbyes": "\n\nI hope " * (_SIZE // 9),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_parser_takes_linear_time(text: str) -> None:
    """Parse replies that repeat one text up to a length of fifty thousand characters."""
    completion = make_completion(text)
    for profile in PROFILES:
        for parse in (recipe.generate.parsers[profile] for recipe in RECIPES.values()):
            for continues in (True, False):
                began = time.process_time()
                parse(ID, completion, AskedList(first_number=9, continues=continues))
                assert time.process_time() - began < _SECONDS
        for output_first in (True, False):
            began = time.process_time()
            INSTANCES[profile](ID, completion, AskedInstances(output_first=output_first))
            assert time.process_time() - began < _SECONDS
        began = time.process_time()
        ANSWERS[profile](completion, "Do it.")
        assert time.process_time() - began < _SECONDS
