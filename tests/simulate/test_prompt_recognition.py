"""Prompts are recognised even if their layout differs from the packaged templates."""

import re
from dataclasses import replace

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.mistake_rates import PERFECT
from selfinstruct.simulate.author.prompt_recognition import (
    Classification,
    Continuation,
    recognise,
)

TASKS = ["Translate the sentence into Spanish.", "Sort the words.", "Sum up the text."]


def list_prompt(lead: str = "\n   Input: ") -> str:
    """Return a prompt with a list of tasks. Each task has an input after `lead`."""
    items = (f"{n}. {task}{lead}The cat sleeps." for n, task in enumerate(TASKS, 1))
    return "Go on with tasks 4 to 11:\n\n" + "\n".join(items)


def continuation(prompt: str) -> Continuation:
    asked = recognise(prompt)
    assert isinstance(asked, Continuation), prompt
    return asked


def test_inputs_are_not_part_of_demonstrations() -> None:
    for lead in ("\n   Input: ", "\nInput: ", "\n\tinput: ", " Input: "):
        for end in ("", "\n", "\n4."):
            asked = continuation(list_prompt(lead) + end)
            assert asked.demonstrations == tuple(TASKS)
            assert (asked.first, asked.last) == (4, 11)
            assert asked.input_lead == lead
            assert asked.bare == end.endswith("4.")


def test_an_input_may_have_several_lines() -> None:
    lined_up = "\n          def sleep():\n              return 7 * 8"
    for more in ("\n   It dreams.\n   It wakes up.", "\nIt dreams.\nIt wakes up.", lined_up):
        for prompt in (
            list_prompt() + more,
            list_prompt().replace("sleeps.", "sleeps." + more),
            list_prompt() + more + "\n4.",
        ):
            asked = continuation(prompt)
            assert asked.demonstrations == tuple(TASKS)
            assert (asked.first, asked.last, asked.input_lead) == (4, 11, "\n   Input: ")
    assert recognise(list_prompt() + "\n\nIt dreams.") is None


def test_some_demonstrations_may_lack_an_input() -> None:
    asked = continuation("Tasks 3 to 4:\n1. Sing.\n2. Sort the words.\n   Input: b, a")
    assert asked.demonstrations == ("Sing.", "Sort the words.")
    assert asked.input_lead == "\n   Input: "


def test_instructions_may_mention_inputs() -> None:
    for last in ("Hum.", "Sort the input: it is short.", "Give an Input:"):
        asked = continuation(f"Tasks 3 to 4:\n1. Sing.\n2. {last}")
        assert asked.demonstrations == ("Sing.", last)
        assert asked.input_lead == ""


def test_a_list_inside_a_task_is_ignored() -> None:
    asked = recognise("Task: Hum.\nOutput: Hm.\n\nTask: Do these:\n1. Sing.\nInput: La.")
    assert not isinstance(asked, Continuation)


def test_reworded_questions_are_recognised() -> None:
    for question in ("Is it a classification task?", "So, classification or not?"):
        asked = recognise(f"Task: Sing.\n{question}")
        assert isinstance(asked, Classification)
        assert (asked.instruction, asked.question) == ("Sing.", question)


def test_replies_show_inputs_like_the_prompt() -> None:
    author = Author(shares=replace(PERFECT, inputs_shown=0.5))
    for lead in ("\n   Input: ", " Input: "):
        texts = [author.write(list_prompt(lead), f"{seed}") for seed in range(200)]
        assert all(len(re.findall(r"^\d+\. ", text, re.MULTILINE)) == 8 for text in texts)
        assert 70 <= sum(lead in text for text in texts) <= 130
    plain = re.sub("\n   Input: .*", "", list_prompt())
    assert not any("Input:" in author.write(plain, f"{seed}") for seed in range(50))
