"""Recognising prompts that are written otherwise than the package's own."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.mistakes import PERFECT, UNCLEAR
from selfinstruct.simulate.author.prompt_recognition import Continuation, Verdict, recognise
from selfinstruct.simulate.author.sentence_frames import compose
from selfinstruct.simulate.random_draws import Draws

TASKS = ["Translate the sentence into Spanish.", "Sort the words.", "Sum up the text."]


def beneath(lead: str = "\n   Input: ") -> str:
    """A list of tasks, each with its input behind `lead`."""
    items = (f"{n}. {task}{lead}The cat sleeps." for n, task in enumerate(TASKS, 1))
    return "Go on with tasks 4 to 11:\n\n" + "\n".join(items)


@pytest.mark.parametrize("lead", ["\n   Input: ", "\nInput: ", "\n\tinput: ", " Input: "], ids=repr)
@pytest.mark.parametrize("end", ["", "\n", "\n4."], ids=repr)
def test_inputs_are_no_part_of_the_demonstrations(lead: str, end: str) -> None:
    """Beneath or behind its instruction, an input is left out and noticed."""
    asked = recognise(beneath(lead) + end)
    assert isinstance(asked, Continuation)
    assert asked.demonstrations == tuple(TASKS)
    assert (asked.first, asked.last) == (4, 11)
    assert asked.input_lead == lead
    assert asked.bare == end.endswith("4.")


def test_an_input_may_have_several_lines() -> None:
    """The item above them is what counts, unless a blank line divides them from it."""
    lined_up = "\n          def sleep():\n              return 7 * 8"
    for more in ("\n   It dreams.\n   It wakes up.", "\nIt dreams.\nIt wakes up.", lined_up):
        for prompt in (
            beneath() + more,
            beneath().replace("sleeps.", "sleeps." + more),
            beneath() + more + "\n4.",
        ):
            asked = recognise(prompt)
            assert isinstance(asked, Continuation)
            assert asked.demonstrations == tuple(TASKS)
            assert (asked.first, asked.last, asked.input_lead) == (4, 11, "\n   Input: ")
    assert recognise(beneath() + "\n\nIt dreams.") is None


def test_a_list_whose_first_task_alone_has_no_input_is_one_too() -> None:
    """Not every demonstration needs an input."""
    asked = recognise("Tasks 3 to 4:\n1. Sing.\n2. Sort the words.\n   Input: b, a")
    assert isinstance(asked, Continuation)
    assert asked.demonstrations == ("Sing.", "Sort the words.")
    assert asked.input_lead == "\n   Input: "


@pytest.mark.parametrize("last", ["Hum.", "Sort the input: it is short.", "Give an Input:"])
def test_a_list_without_inputs_has_none(last: str) -> None:
    """An instruction may well speak of inputs."""
    asked = recognise(f"Tasks 3 to 4:\n1. Sing.\n2. {last}")
    assert isinstance(asked, Continuation)
    assert asked.demonstrations == ("Sing.", last)
    assert asked.input_lead == ""


def test_examples_with_an_input_at_the_end_are_no_list() -> None:
    """A numbered list and an input inside a task do not make a list of tasks out of it."""
    asked = recognise("Task: Hum.\nOutput: Hm.\n\nTask: Do these:\n1. Sing.\nInput: La.")
    assert not isinstance(asked, Continuation)


@pytest.mark.parametrize("lead", ["\n   Input: ", " Input: "], ids=repr)
def test_some_replies_have_inputs_as_well(lead: str) -> None:
    """In the share that is asked for, in the same place, and only for tasks that need one."""
    author = Author(shares=replace(PERFECT, inputs_shown=0.5))
    with_inputs = 0
    for seed in range(200):
        text = author.write(beneath(lead), f"{seed}")
        assert len(re.findall(r"^\d+\. ", text, re.MULTILINE)) == 8
        found = text.count(lead)
        with_inputs += found > 0
        assert found < 8 or "Write" not in text
    assert 70 <= with_inputs <= 130


def test_a_list_without_inputs_gets_none() -> None:
    """Inputs are written only where they are shown."""
    prompt = "Go on with tasks 4 to 11:\n\n" + "\n".join(
        f"{n}. {t}" for n, t in enumerate(TASKS, 1)
    )
    assert not any("Input:" in Author().write(prompt, f"{seed}") for seed in range(50))


@pytest.mark.parametrize(
    ("question", "customary"),
    [
        ("Is it a classification task?", True),
        ("Is it classification?", True),
        ("is this a classification task?", True),
        ("Reply with Yes or No alone: is that a classification task?", False),
        ("So, classification or not?", False),
    ],
)
def test_a_second_question_is_told_from_the_first(question: str, customary: bool) -> None:
    """The first is asked in everybody's words."""
    asked = recognise(f"Task: Sing.\n{question}")
    assert isinstance(asked, Verdict)
    assert (asked.instruction, asked.customary) == ("Sing.", customary)


def test_a_second_question_is_answered_clearly_more_often() -> None:
    """A fifth as many answers are unclear or wordy."""
    author = Author(shares=replace(PERFECT, unclear=0.2, wordy=0.2))
    seen: dict[str, Counter[str]] = {}
    for question in ("Is it a classification task?", "Yes or No: is it a classification task?"):
        prompt = f"Task: {compose(Draws('x'))}\n{question}"
        texts = (author.write(prompt, f"{seed}") for seed in range(1000))
        seen[question] = Counter(
            "unclear" if text in UNCLEAR else "clear" if text in ("Yes", "No") else "wordy"
            for text in texts
        )
    first, second = seen.values()
    assert 150 <= first["unclear"] <= 250
    assert 20 <= second["unclear"] <= 65
    assert second["clear"] > first["clear"] + 200
