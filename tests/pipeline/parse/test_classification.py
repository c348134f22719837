"""Test parsing replies to the classification question: only a clear yes or no counts as an answer."""

import pytest
from support import make_completion

from selfinstruct.pipeline.parse.classification import answer


@pytest.mark.parametrize(
    "text",
    [
        "Yes",
        "yes",
        "YES",
        " Yes\n",
        "Yes.",
        "Yes!",
        "**Yes**",
        "**Yes.**",
        '"Yes"',
        "Yes\n\nTask: Name a river.",
        "Yes\nIs it classification? No",
        "Yes, it asks for a label.",
        "Yes, this is a classification task.",
        "Yes – the labels are fixed.",
        "Yes (the labels are named)",
        "Yes because the labels are named.",
        "Answer: Yes",
        "The answer is yes.",
        "<think>No? Yes or no?</think>\n\nYes",
    ],
)
def test_a_clear_yes_counts(text: str) -> None:
    assert answer(make_completion(text)) == "yes"


@pytest.mark.parametrize(
    "text",
    [
        "No",
        "no",
        "NO.",
        "**No**",
        "No\n\nTask: Name a river.\nIs it classification? Yes",
        "No\r\n",
        "No, it asks for a poem.",
        "No. The answer is written freely.",
        "Answer: **No**",
        "Hm. Yes?\n</think>\n\nNo",
    ],
)
def test_a_clear_no_counts(text: str) -> None:
    assert answer(make_completion(text)) == "no"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "continue",
        "Sure, go ahead.",
        "Sure! Please send the task.",
        "Yes, I can help with that.",
        "Yes, please continue.",
        "Yes, sure!",
        "Yes! How can I help you?",
        "Yes (I can help with that).",
        "No problem, here it is.",
        "No, I can't tell.",
        "Yes or No",
        "Yes/No",
        "Yes and no",
        "yes | no",
        "Nobody knows",
        "Yesterday",
        "It depends. Yes.",
        "I think so.",
        "<think>Yes, it is.",
        "Да",
    ],
)
def test_any_other_answer_is_unclear(text: str) -> None:
    assert answer(make_completion(text)) == "unclear"


def test_a_repeated_question_is_skipped() -> None:
    task = "Is the word a noun?"
    question = f"Task: {task}\nIs it classification?"
    assert answer(make_completion(f"{question} Yes"), instruction=task) == "yes"
    assert answer(make_completion(f"{question}\nNo"), instruction=task) == "no"
    assert answer(make_completion(f"Task: Another.\n{question} No"), instruction=task) == "no"
    assert answer(make_completion(question), instruction=task) == "unclear"
    assert answer(make_completion(f"{question} Yes")) == "unclear"


def test_a_repeated_task_without_its_question_is_skipped() -> None:
    task = "Is the word a noun?"
    assert answer(make_completion(f"Task: {task}\nYes"), instruction=task) == "yes"
    runs_on = f"Task: {task}\nNo\n\nTask: Name a lake.\nIs it classification? Yes"
    assert answer(make_completion(runs_on), instruction=task) == "no"
    assert answer(make_completion(f"Task: {task}"), instruction=task) == "unclear"


def test_an_answer_about_another_task_is_ignored() -> None:
    reply = make_completion("No\n\nTask: Name a river.\nIs it classification? Yes")
    assert answer(reply, instruction="Write a poem.") == "no"
