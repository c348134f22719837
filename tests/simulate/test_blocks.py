"""Replies with complete tasks in blocks, from the simulated chat model and the simulated base model."""

import re
from collections import Counter
from dataclasses import replace

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.grammar import word_list
from selfinstruct.simulate.author.inputs_and_outputs import needs_input
from selfinstruct.simulate.author.instructions import LABEL_KIND, compose, recognise
from selfinstruct.simulate.author.mistake_rates import PERFECT
from selfinstruct.simulate.seeded_random import SeededRandom

DEMONSTRATIONS = [compose(SeededRandom(f"blocks {number}")) for number in range(3)]


def prompt(header: str = "Make tasks. The list has 20 tasks:", no_input: str = "<noinput>") -> str:
    """Return a prompt with three blocks and the fourth block's first heading."""
    blocks = "".join(
        f"###\n{n}. Instruction: {task}\n{n}. Input:\n{no_input}\n{n}. Output:\nA text.\n"
        for n, task in enumerate(DEMONSTRATIONS, 1)
    )
    return f"{header}\n\n{blocks}###\n4. Instruction:"


def tasks(text: str) -> list[tuple[int, str, str, str]]:
    """Return the number, instruction, input and output from each well-formed block."""
    pattern = r"(\d+)\. Instruction: (.+)\n\1\. Input:\n([\s\S]+?)\n\1\. Output:\n([\s\S]+)"
    found = (re.fullmatch(pattern, block.strip()) for block in text.split("###"))
    return [(int(m[1]), m[2], m[3], m[4]) for m in found if m is not None]


def test_a_chat_gets_the_blocks_asked() -> None:
    author = Author(shares=PERFECT)
    for header, last in {
        "Make a set of 20 diverse task instructions.": 20,
        "Here are 3 tasks; please write tasks 4 to 12, at most 2 sentences each.": 12,
        "List of 7 tasks:": 7,
        "Go on with this:": 20,
        "Here are 3 tasks. Please go on.": 20,
    }.items():
        beginnings = Counter[str]()
        for seed in range(30):
            text = author.write(prompt(header), f"{seed}")
            found = re.match(r"(?:###\n)?4\. Instruction: |", text)
            beginnings[found[0] if found else ""] += 1
            if not text.startswith(("###", "4.")):
                text = f"4. Instruction: {text}"
            assert [number for number, *_ in tasks(text)] == list(range(4, last + 1))
        assert len(beginnings) == 3


def test_a_base_model_writes_more_blocks() -> None:
    author = Author(shares=PERFECT)
    lasts = set()
    for seed in range(100):
        text = author.continue_text(prompt(), f"{seed}")
        assert re.match(r" [^\s\d]", text)
        numbers = [number for number, *_ in tasks(f"4. Instruction:{text}")]
        assert numbers == list(range(4, numbers[-1] + 1))
        lasts.add(numbers[-1])
    assert lasts == {20, 21, 22, 23, 24, 25}
    assert not author.continue_text(prompt() + " ", "0").startswith(" ")


def test_inputs_and_outputs_fit_the_task() -> None:
    author = Author(shares=PERFECT)
    labels = 0
    for seed in range(60):
        for _, instruction, given, output in tasks(author.write(prompt(), f"{seed}")):
            task = recognise(instruction)
            assert task is not None
            assert (given != "<noinput>") == needs_input(task.kind)
            if task.kind == LABEL_KIND:
                labels += 1
                assert output in instruction
    assert labels > 50


def test_no_input_is_spelt_as_in_the_prompt() -> None:
    text = prompt(no_input="<No input>")
    spellings = {
        given
        for seed in range(40)
        for _, _, given, _ in tasks(Author(shares=PERFECT).write(text, f"{seed}"))
        if len(given) < 12 and "nput" in given
    }
    assert spellings == {"<No input>"}
    author = Author(shares=replace(PERFECT, no_input_respelt=0.5))
    replies = "".join(author.write(text, f"{seed}") for seed in range(20))
    for spelling in ("<No input>", "<noinput>", "Noinput"):
        assert f"Input:\n{spelling}\n" in replies


def test_mistakes_in_blocks_keep_to_their_shares() -> None:
    author = Author(shares=replace(PERFECT, block_malformed=0.3, refused=0.1))
    seen: Counter[str] = Counter()
    for seed in range(100):
        text = author.continue_text(prompt(), f"{seed}")
        assert text.strip() not in word_list("apology")
        blocks = f"4. Instruction:{text}".split("\n###\n")
        seen["blocks"] += len(re.findall(r"\d+\. Instruction:", text)) + 1
        seen["no fence"] += sum(len(re.findall("Instruction:", block)) - 1 for block in blocks)
        seen["no output"] += sum(
            len(re.findall("Input:", block)) - len(re.findall("Output:", block)) for block in blocks
        )
        for block in blocks:
            first, second = re.findall(r"^(\d+)\. (?:Instruction|Input):", block, re.MULTILINE)[:2]
            seen["wrong number"] += first != second
    for fault in ("no fence", "no output", "wrong number"):
        assert 0.06 < seen[fault] / seen["blocks"] < 0.14, fault
    refused = sum(author.write(prompt(), f"{seed}") in word_list("apology") for seed in range(300))
    assert 12 <= refused <= 50


def test_some_replies_have_another_layout() -> None:
    author = Author(shares=replace(PERFECT, malformed=1.0))
    text = "\n".join(author.write(prompt(), f"{seed}") for seed in range(40))
    assert not re.search(r"^\d+\. Output:$", text, re.MULTILINE)
    for heading in (r"\*\*7\. Output:\*\*", r"7\) Output:", "Output:", r"7\. Output: \S.*"):
        assert re.search(f"^{heading}$", text, re.MULTILINE), heading


def test_a_heading_without_fence_is_a_list() -> None:
    text = Author(shares=PERFECT).write("1. Swim.\n2. Run.\n3. Instruction:", "x")
    assert "Output:" not in text
