"""The simulated base model continues a text beyond the answer that the prompt asks for."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.classification import is_classification
from selfinstruct.simulate.author.instructions import compose
from selfinstruct.simulate.author.mistake_rates import PERFECT
from selfinstruct.simulate.protocol.completions import finish
from selfinstruct.simulate.seeded_random import SeededRandom

INSTRUCTIONS = [compose(SeededRandom(f"base {number}")) for number in range(30)]
LIST = "Come up with a series of tasks:\n\n" + "\n".join(
    f"{number}. {task}" for number, task in enumerate(INSTRUCTIONS[:8], 1)
)
EXAMPLES = "Task: Name a colour.\nOutput: red\n\n"
LABELS = "Task: Is it red or blue?\nClass label: red\nInput: a poppy\n\n"
AUTHOR = Author(shares=PERFECT)


def question(task: str) -> str:
    return f"Task: Is it red?\nIs it classification? Yes\n\nTask: {task}\nIs it classification?"


@pytest.mark.parametrize(
    ("end", "beginning"),
    [("\n9.", " "), ("\n9. ", ""), ("\n9.\n", ""), ("", "\n9. "), ("\n", "9. ")],
    ids=repr,
)
def test_the_text_joins_the_prompt(end: str, beginning: str) -> None:
    text = AUTHOR.continue_text(LIST + end, "x")
    assert re.match(re.escape(beginning) + r"[A-Z]", text), text[:20]


def test_lists_continue_beyond_the_last_number() -> None:
    texts = [AUTHOR.continue_text(f"{LIST}\n9.", f"{seed}") for seed in range(400)]
    assert 240 <= sum("\n\n" in text for text in texts) <= 320
    for text in texts:
        items = re.findall(r"^\d+(?=\. )", f"9.{text}".partition("\n\n")[0], re.MULTILINE)
        assert items == [str(number) for number in range(9, 9 + len(items))]
        assert len(items) >= 8
        assert "\n17. " in text or re.search(r"\n\n[A-Z].*\n1\. ", text)
        # With the original pipeline's stop sequences, tasks 9 to 15 remain.
        cut = finish(text, ("\n\n", "\n16"), 1024)
        assert cut.reason == "stop"
        numbers = re.findall(r"^(\d+)\. ", f"9.{cut.text}", re.MULTILINE)
        assert numbers == [str(number) for number in range(9, 16)]


def test_the_mark_after_numbers_is_kept() -> None:
    text = AUTHOR.continue_text("1) Swim.\n2) Run.\n3)", "x")
    assert "\n4) " in text
    assert "\n4. " not in text


def test_some_lists_break_off_or_skip() -> None:
    author = Author(shares=replace(PERFECT, malformed=0.2, refused=1.0))
    seen: Counter[str] = Counter()
    for seed in range(500):
        items = author.continue_text(f"{LIST}\n9.", f"{seed}").partition("\n\n")[0]
        seen["short"] += "\n12. " not in items
        seen["number missing"] += "\n11. " in items and "\n10. " not in items
        assert "sorry" not in items
    assert 30 <= seen["short"] <= 75
    assert 30 <= seen["number missing"] <= 75


def test_more_questions_follow_an_answer() -> None:
    for task, answer in (("Classify the animal as a mammal or a bird.", "Yes"), ("Sing.", "No")):
        text = AUTHOR.continue_text(question(task), "x")
        first, *others = text.split("\n\n")
        assert first == f" {answer}"
        assert len(others) >= 3
        for other in others:
            assert re.fullmatch(r"Task: .+\nIs it classification\? (Yes|No)", other)
        assert AUTHOR.continue_text(question(task) + " ", "x") == text[1:]


def test_more_tasks_follow_examples() -> None:
    for task in INSTRUCTIONS:
        text = AUTHOR.continue_text(f"{EXAMPLES}Task: {task}\n", "x")
        first, *others = re.split(r"\n\n(?=Task: )", text)
        assert first.startswith(("Output: ", "Example 1\n", "Input: "))
        assert 2 <= len(others) <= 4
        assert all("Output: " in other for other in others)
        assert AUTHOR.continue_text(f"{EXAMPLES}Task: {task}", "x") == f"\n{text}"


def test_more_classification_tasks_follow_labels() -> None:
    for seed in range(10):
        text = AUTHOR.continue_text(f"{LABELS}Task: Is it hot or cold?\n", f"{seed}")
        first, *others = re.split(r"\n\n(?=Task: )", text)
        assert re.match(r"Class label: \w+\nInput: ", first)
        for other in others:
            found = re.match(r"Task: (.+)\nClass label: ", other)
            assert found is not None
            assert is_classification(found[1])


def test_the_marker_of_the_prompt_is_kept() -> None:
    text = AUTHOR.continue_text("Instruction: Sing.\nOutput: La.\n\nInstruction: Hum.\n", "x")
    assert "\n\nInstruction: " in text
    assert "Task:" not in text
