"""The author as a base model: it continues what is there, and does not know when to stop."""

import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.classification import is_classification
from selfinstruct.simulate.author.mistakes import PERFECT, FaultShares
from selfinstruct.simulate.author.sentence_frames import compose
from selfinstruct.simulate.protocol.completions import finish
from selfinstruct.simulate.random_draws import Draws

INSTRUCTIONS = [compose(Draws(f"base {number}")) for number in range(100)]
LIST = "Come up with a series of tasks:\n\n" + "\n".join(
    f"{number}. {task}" for number, task in enumerate(INSTRUCTIONS[:8], 1)
)
EXAMPLES = "Task: Name a colour.\nOutput: red\n\n"
LABELS = "Task: Is it red or blue?\nClass label: red\nInput: a poppy\n\n"
QUESTIONS = "Task: Is it red or blue?\nIs it classification? Yes\n\n"


def verdicts(task: str) -> str:
    return f"{QUESTIONS}Task: {task}\nIs it classification?"


def test_a_list_goes_on_behind_its_bare_number() -> None:
    """The number that stands there already is not written again, and what follows counts on."""
    author = Author(shares=PERFECT)
    for seed in range(50):
        text = author.go_on(f"{LIST}\n9.", f"{seed}")
        assert re.match(r" [A-Z]", text)
        items = re.findall(r"^\d+(?=\. )", f"9.{text}".partition("\n\n")[0], re.MULTILINE)
        assert items == [str(number) for number in range(9, 9 + len(items))]
        assert len(items) >= 8


@pytest.mark.parametrize(
    ("end", "beginning"),
    [
        ("\n9.", " "),
        ("\n9. ", ""),
        ("\n9.\n", ""),
        ("", "\n9. "),
        ("\n", "9. "),
    ],
    ids=repr,
)
def test_the_text_joins_on_to_the_prompt(end: str, beginning: str) -> None:
    """No number is doubled or left out, and no space is."""
    text = Author(shares=PERFECT).go_on(LIST + end, "x")
    assert re.match(re.escape(beginning) + r"[A-Z]", text), text[:20]


def test_brackets_behind_numbers_are_kept() -> None:
    """A base model copies what it sees."""
    text = Author(shares=PERFECT).go_on("1) Swim.\n2) Run.\n3)", "x")
    assert "\n4) " in text
    assert "\n4. " not in text


def test_lists_do_not_stop_where_they_should() -> None:
    """About seven in ten begin another list after a blank line, the others just count on."""
    author = Author(shares=PERFECT)
    texts = [author.go_on(f"{LIST}\n9.", f"{seed}") for seed in range(400)]
    another = sum("\n\n" in text for text in texts)
    assert 240 <= another <= 320
    for text in texts:
        assert "\n16. " in text
        assert "\n17. " in text or re.search(r"\n\n[A-Z].*\n1\. ", text)


def test_the_customary_stop_texts_cut_a_list_to_size() -> None:
    """With the stop texts of the original pipeline, tasks 9 to 15 are left, and the reason is "stop"."""
    author = Author(shares=PERFECT)
    for seed in range(50):
        whole = author.go_on(f"{LIST}\n9.", f"{seed}")
        text, _, reason = finish(whole, ("\n\n", "\n16"), 1024)
        assert reason == "stop"
        numbers = re.findall(r"^(\d+)\. ", f"9.{text}", re.MULTILINE)
        assert numbers == [str(number) for number in range(9, 16)]


def test_faults_in_lists_keep_to_their_shares() -> None:
    """Some lists break off early or leave out a number; none of them is an apology."""
    author = Author(shares=replace(PERFECT, malformed=0.2, refused=1.0))
    seen: Counter[str] = Counter()
    for seed in range(500):
        items = author.go_on(f"{LIST}\n9.", f"{seed}").partition("\n\n")[0]
        seen["short"] += "\n12. " not in items
        seen["number missing"] += "\n11. " in items and "\n10. " not in items
        assert "sorry" not in items
    assert 30 <= seen["short"] <= 75
    assert 30 <= seen["number missing"] <= 75


def test_a_verdict_is_followed_by_more_questions() -> None:
    """The answer comes first; then the model asks and answers itself, in the form of the prompt."""
    author = Author(shares=PERFECT)
    for task, answer in (("Classify the animal as a mammal or a bird.", "Yes"), ("Sing.", "No")):
        text = author.go_on(verdicts(task), "x")
        first, *others = text.split("\n\n")
        assert first == f" {answer}"
        assert len(others) >= 3
        for other in others:
            assert re.fullmatch(r"Task: .+\nIs it classification\? (Yes|No)", other)
        assert author.go_on(verdicts(task) + " ", "x") == text[1:]


def test_an_unclear_verdict_does_not_sound_like_a_chat() -> None:
    """A base model does not ask to be sent anything."""
    author = Author(shares=replace(PERFECT, unclear=1.0))
    said = {author.go_on(verdicts("Sing."), f"{seed}").partition("\n")[0] for seed in range(50)}
    assert " Maybe" in said
    assert not any("Sure!" in text or text in (" Yes", " No") for text in said)


def test_examples_are_followed_by_more_tasks() -> None:
    """The examples begin on a line of their own, and further tasks follow with theirs."""
    author = Author(shares=PERFECT)
    for task in INSTRUCTIONS[:30]:
        text = author.go_on(f"{EXAMPLES}Task: {task}\n", "x")
        first, *others = re.split(r"\n\n(?=Task: )", text)
        assert first.startswith(("Output: ", "Example 1\n", "Input: "))
        assert 2 <= len(others) <= 4
        assert all("Output: " in other for other in others)
        assert author.go_on(f"{EXAMPLES}Task: {task}", "x") == f"\n{text}"


def test_labels_are_followed_by_more_tasks_with_labels() -> None:
    """Each further task is a classification task, and gets labels too."""
    for seed in range(10):
        text = Author(shares=PERFECT).go_on(f"{LABELS}Task: Is it hot or cold?\n", f"{seed}")
        first, *others = re.split(r"\n\n(?=Task: )", text)
        assert re.match(r"Class label: (hot|cold)\nInput: ", first)
        assert others
        for other in others:
            found = re.match(r"Task: (.+)\nClass label: ", other)
            assert found is not None
            assert is_classification(found[1])


def test_the_marker_of_the_prompt_is_used() -> None:
    """Where tasks are called instructions, the further ones are as well."""
    text = Author(shares=PERFECT).go_on(
        "Instruction: Sing.\nOutput: La.\n\nInstruction: Hum.\n", "x"
    )
    assert "\n\nInstruction: " in text
    assert "Task:" not in text


def test_a_chat_is_answered_as_ever() -> None:
    """The same prompts on the chat route keep their numbers, and end where they should."""
    author = Author(shares=PERFECT)
    lines = author.write(f"{LIST}\n9.", "x").split("\n")
    assert [line.partition(". ")[0] for line in lines] == [str(n) for n in range(9, 17)]
    assert author.write(verdicts("Sing."), "x") == "No"
    assert "Task:" not in author.write(f"{EXAMPLES}Task: Sing.\n", "x")


PROMPTS = st.sampled_from(
    [f"{LIST}\n9.", verdicts("Sing."), f"{EXAMPLES}Task: Sing.\n", f"{LABELS}Task: Sort.\n", "Hm."]
)


@given(PROMPTS, st.text(st.characters(codec="utf-8"), max_size=20), st.integers(0, 300))
def test_a_text_is_settled_by_its_prompt_and_seed(prompt: str, seed: str, limit: int) -> None:
    """Two authors write the same, and a cut is a beginning whatever the limit."""
    text = Author().go_on(prompt, seed)
    assert Author().go_on(prompt, seed) == text
    assert finish(text, (), limit + 50)[0].startswith(finish(text, (), limit)[0])


MARKERS = ["Task: ", "\n", "Class label: ", "Input: ", "Output: ", "1. ", "9.", "\n2)", "?", "###"]
WORDS = ["4. Instruction:", "20 tasks", "4 to 20", "classification", " ", "\ud800", INSTRUCTIONS[0]]
PIECES = st.sampled_from([*MARKERS, *WORDS])


@given(st.lists(PIECES, max_size=25).map("".join))
def test_no_prompt_is_too_strange(prompt: str) -> None:
    """Half a prompt, and a prompt with everything in it, are gone on with and answered."""
    for shares in (FaultShares(), PERFECT):
        assert Author(shares=shares).go_on(prompt, "x")
        assert isinstance(Author(shares=shares).write(prompt, "x"), str)
