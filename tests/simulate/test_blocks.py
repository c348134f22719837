"""Whole tasks in blocks, as one call asks for them."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.classification import is_classification
from selfinstruct.simulate.author.inputs import WITH_INPUT
from selfinstruct.simulate.author.mistakes import APOLOGIES, BEYOND_TEXT, PERFECT, FaultShares
from selfinstruct.simulate.author.sentence_frames import LABEL_KIND, compose, recognise
from selfinstruct.simulate.protocol.completions import finish
from selfinstruct.simulate.random_draws import Draws

SHOWN = [compose(Draws(f"blocks {number}")) for number in range(3)]


def asking(header: str = "Make tasks. The list has 20 tasks:", no_input: str = "<noinput>") -> str:
    """A prompt that shows three blocks and begins the fourth."""
    blocks = "".join(
        f"###\n{n}. Instruction: {task}\n{n}. Input:\n{no_input}\n{n}. Output:\nA text.\n"
        for n, task in enumerate(SHOWN, 1)
    )
    return f"{header}\n\n{blocks}###\n4. Instruction:"


def tasks(text: str) -> list[tuple[int, str, str, str]]:
    """Number, instruction, input and output of each block that is all right."""
    pattern = r"(\d+)\. Instruction: (.+)\n\1\. Input:\n([\s\S]+?)\n\1\. Output:\n([\s\S]+)"
    found = (re.fullmatch(pattern, block.strip()) for block in text.split("###"))
    return [(int(m[1]), m[2], m[3], m[4]) for m in found if m is not None]


@pytest.mark.parametrize(
    ("header", "last"),
    [
        ("Make a set of 20 diverse task instructions.", 20),
        ("Here are 3 tasks; please write tasks 4 to 12, at most 2 sentences each.", 12),
        ("List of 7 tasks:", 7),
        ("Go on with this:", 20),
        ("Here are 3 tasks. Please go on.", 20),
    ],
)
def test_a_chat_gets_the_blocks_that_the_prompt_names(header: str, last: int) -> None:
    """Every number is there once, in order, whichever way the reply begins."""
    author = Author(shares=PERFECT)
    for seed in range(20):
        text = author.write(asking(header), f"{seed}")
        if not text.startswith(("###", "4.")):
            text = f"4. Instruction: {text}"
        assert [number for number, *_ in tasks(text)] == list(range(4, last + 1))


def test_chats_mostly_repeat_the_heading() -> None:
    """Some put "###" before it, and some begin with the instruction."""
    author = Author(shares=PERFECT)
    seen: Counter[str] = Counter()
    for seed in range(300):
        text = author.write(asking(), f"{seed}")
        found = re.match(r"(?:###\n)?4\. Instruction: |", text)
        seen[found[0] if found else ""] += 1
    assert seen["4. Instruction: "] > 150
    assert 30 <= seen["###\n4. Instruction: "] <= 90
    assert 30 <= seen[""] <= 90


def test_a_base_model_begins_behind_the_heading_and_goes_on_beyond() -> None:
    """No heading is repeated, all blocks asked for are there, and often a few more."""
    author = Author(shares=PERFECT)
    lasts = Counter[int]()
    for seed in range(100):
        text = author.go_on(asking(), f"{seed}")
        assert re.match(r" \S", text)
        assert not re.match(r" *\d+\.", text)
        numbers = [number for number, *_ in tasks(f"4. Instruction:{text}")]
        assert numbers == list(range(4, numbers[-1] + 1))
        lasts[numbers[-1]] += 1
    assert set(lasts) == {20, 21, 22, 23, 24, 25}
    text = author.go_on(asking() + " ", "0")
    assert not text.startswith(" ")


def test_tasks_have_the_inputs_and_outputs_of_their_kind() -> None:
    """Tasks with something to work on have inputs; labels are among those offered."""
    author = Author(shares=PERFECT)
    labels = 0
    for seed in range(60):
        for _, instruction, given, answer in tasks(author.write(asking(), f"{seed}")):
            found = recognise(instruction)
            assert found is not None, instruction
            assert (given != "<noinput>") == (found.kind in WITH_INPUT)
            if found.kind == LABEL_KIND:
                labels += 1
                assert answer in instruction
    assert labels > 50


def test_label_tasks_of_others_have_a_label_as_output() -> None:
    """Copies of a demonstration that offers labels are answered with one of them."""
    author = Author(shares=replace(PERFECT, copied=1.0))
    prompt = "###\n1. Instruction: Judge if it is hot or cold.\n###\n2. Instruction:"
    written = [task for seed in range(10) for task in tasks(author.write(prompt, f"{seed}"))]
    found = [task for task in written if is_classification(task[1])]  # a copy may lose its verb
    assert len(found) > 50
    for _, instruction, given, answer in found:
        assert given != "<noinput>"
        assert answer in instruction


def test_the_sign_for_no_input_is_the_one_in_the_prompt() -> None:
    """It is copied, and now and then spelt otherwise."""
    prompt = asking(no_input="<No input>")
    signs = Counter(
        given
        for seed in range(40)
        for _, _, given, _ in tasks(Author(shares=PERFECT).write(prompt, f"{seed}"))
        if len(given) < 12 and "nput" in given
    )
    assert set(signs) == {"<No input>"}
    author = Author(shares=replace(PERFECT, no_input_respelt=0.5))
    text = "".join(author.write(prompt, f"{seed}") for seed in range(20))
    assert all(f"Input:\n{sign}\n" in text for sign in ("<No input>", "<noinput>", "Noinput"))


def test_some_replies_are_longer_than_3072_tokens() -> None:
    """As with real models, the limit of the published pipeline cuts some replies, and not most."""
    for write in (Author().write, Author().go_on):
        texts = [write(asking(), f"{seed}") for seed in range(200)]
        reasons = Counter(finish(text, (), 3072)[2] for text in texts)
        assert 10 <= reasons["length"] <= 80
        assert all(text.startswith(finish(text, (), 3072)[0]) for text in texts)


def test_instructions_have_the_faults_that_lists_have() -> None:
    """Near-copies, and tasks that need more than text, are among them."""
    author = Author(shares=replace(PERFECT, copied=0.2, beyond_text=0.2, curt=0.1))
    found = [task for s in range(40) for _, task, _, _ in tasks(author.write(asking(), f"{s}"))]
    words = [set(task.split()) for task in found]
    shown = [set(task.split()) for task in SHOWN]
    copied = sum(any(len(own & s) > 0.8 * len(s) for s in shown) for own in words)
    assert 0.1 < copied / len(found) < 0.3
    assert 0.05 < sum(len(own) <= 3 for own in words) / len(found) < 0.2
    for word in ("video", "music", "diagram"):
        assert any(word in text for text in BEYOND_TEXT)
        assert any(word in task for task in found)


def test_faults_in_blocks_keep_to_their_shares() -> None:
    """Blocks lack their output line or their fence, or are numbered wrongly; replies are apologies."""
    author = Author(shares=replace(PERFECT, block_malformed=0.3, refused=0.1))
    seen: Counter[str] = Counter()
    for seed in range(100):
        text = author.go_on(asking(), f"{seed}")
        assert text.strip() not in APOLOGIES
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
    refused = sum(author.write(asking(), f"{seed}") in APOLOGIES for seed in range(300))
    assert 12 <= refused <= 50


def test_some_replies_are_laid_out_otherwise() -> None:
    """Bold headings, brackets, everything on one line, and no numbers at all."""
    author = Author(shares=replace(PERFECT, malformed=1.0))
    text = "\n".join(author.write(asking(), f"{seed}") for seed in range(40))
    assert not re.search(r"^\d+\. Output:$", text, re.MULTILINE)
    for heading in (r"\*\*7\. Output:\*\*", r"7\) Output:", "Output:", r"7\. Output: \S.*"):
        assert re.search(f"^{heading}$", text, re.MULTILINE), heading


def test_the_same_prompt_and_seed_give_the_same_blocks() -> None:
    """Another seed gives others, and so does another demonstration that is copied."""
    for write in (Author().write, Author().go_on):
        assert write(asking(), "x") == write(asking(), "x") != write(asking(), "y")


def test_a_heading_without_a_fence_is_the_end_of_a_list() -> None:
    """Without "###" above it, a last line "4. Instruction:" asks for nothing in blocks."""
    text = Author(shares=FaultShares(refused=0, malformed=0)).write(
        "1. Swim.\n2. Run.\n3. Instruction:", "x"
    )
    assert "Output:" not in text
