"""What the author writes: the same to the same prompt, in the right form, with faults in bounds."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq
from support import ROOT

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.inputs import WITH_INPUT
from selfinstruct.simulate.author.mistakes import INSTANCE_APOLOGIES, PERFECT, UNCLEAR, FaultShares
from selfinstruct.simulate.author.outputs import WITHOUT_INPUT
from selfinstruct.simulate.author.sentence_frames import (
    LABEL_KIND,
    Frame,
    all_frames,
    compose,
    fill_frame,
    recognise,
)
from selfinstruct.simulate.random_draws import Draws

PROMPTS = ROOT / "prompts" / "self-instruct"
INSTRUCTIONS = [compose(Draws(f"test {number}")) for number in range(2_000)]


@cache
def template(name: str) -> str:
    """One of the prompts that the package comes with."""
    return (PROMPTS / f"{name}.txt").read_text(encoding="utf-8")


def asking_for_tasks(seed: int) -> str:
    """The generate prompt, with eight demonstrations."""
    above = template("generate").partition("{% for")[0]
    above = above.replace("{{ demonstrations | length }}", "8")
    above = above.replace("{{ first_number }}", "9").replace("{{ last_number }}", "16")
    tasks = INSTRUCTIONS[seed % 1_900 :][:8]
    return above + "\n".join(f"{number}. {task}" for number, task in enumerate(tasks, 1))


def asking(name: str, instruction: str) -> str:
    """One of the other three prompts, about an instruction."""
    text = template(name).replace("{{ instruction }}", instruction)
    return text.replace("{{ max_instances }}", "3")


def test_replies_are_the_same_in_every_process() -> None:
    """Nothing depends on how Python happens to hash strings."""
    code = (
        "from selfinstruct.simulate.author.author import Author\n"
        "prompt = 'Continue with tasks 2 to 30.\\n1. Write a haiku about rain.'\n"
        "print(Author().write(prompt, 'a seed'))"
    )
    replies = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(replies) == 1


def test_tasks_continue_the_list() -> None:
    """An author without faults writes exactly the lines asked for."""
    lines = Author(shares=PERFECT).write(asking_for_tasks(0), "a seed").split("\n")
    assert [line.partition(". ")[0] for line in lines] == [str(n) for n in range(9, 17)]


def test_a_reworded_prompt_is_recognised() -> None:
    """Another wording, another range and a bare last number do not matter."""
    author = Author(shares=PERFECT)
    lines = author.write("Rules: 1. Be brief.\nMore, please (3-5):\n\n1. Swim.\n2. Run.", "x")
    assert [line.partition(". ")[0] for line in lines.split("\n")] == ["3", "4", "5"]
    lines = author.write("Come up with a series of tasks:\n1. Swim.\n2. Run.\n3.", "x")
    assert lines.startswith("3. ")
    text = author.write("Classification or not?\n\nTask: Sort.\nA classification task?", "x")
    assert text in {"Yes", "No"}


def test_verdicts_are_right_for_the_authors_own_tasks() -> None:
    """Without faults, exactly the frames that ask for labels are classification tasks."""
    author = Author(shares=PERFECT)
    for instruction in INSTRUCTIONS[:300]:
        found = recognise(instruction)
        assert found is not None, instruction
        expected = "Yes" if found.kind == LABEL_KIND else "No"
        assert author.write(asking("classify", instruction), "x") == expected


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Classify the animal as a mammal or a bird.", "Yes"),
        ("Is the number prime? Answer yes or no.", "Yes"),
        ("Which category does the product belong to?", "Yes"),
        ("Decide whether the two sentences mean the same.", "Yes"),
        ("Write a haiku about the sea.", "No"),
        ("What is the capital of Portugal?", "No"),
    ],
)
def test_verdicts_on_the_tasks_of_others_are_sensible(instruction: str, expected: str) -> None:
    """A rule of thumb serves for tasks that are in none of the frames."""
    assert Author(shares=PERFECT).write(asking("classify", instruction), "x") == expected


def test_every_own_task_gets_examples_of_its_kind() -> None:
    """Tasks with a text to work on get inputs, the others a single output."""
    author = Author(shares=PERFECT)
    for instruction in INSTRUCTIONS[:500]:
        found = recognise(instruction)
        assert found is not None
        text = author.write(asking("instances_input_first", instruction), "x")
        assert ("Input: " in text) == (found.kind in WITH_INPUT), text
        assert "Output: " in text
        assert "{" not in text or found.kind == "code", text


@pytest.mark.parametrize("frame", all_frames(), ids=lambda frame: frame.template.text[:40])
def test_every_frame_is_recognised_and_has_its_examples(frame: Frame) -> None:
    """However a frame is filled, it is known again, and there is somebody to write for it."""
    author = Author(shares=PERFECT)
    for number in range(8):
        instruction = fill_frame(frame, Draws(f"frame {number}"))
        found = recognise(instruction)
        assert found is not None
        assert found.kind == frame.kind
        assert "{" not in instruction
        assert all(words in instruction for words in found.used.values())
        for name in ("instances_input_first", "instances_output_first"):
            assert author.write(asking(name, instruction), f"{number}")


def test_the_words_of_an_instruction_are_found_again() -> None:
    """Nearly always every slot is told from its neighbours, and the rest is drawn anew."""
    slots = found_again = 0
    for frame in all_frames():
        instruction = fill_frame(frame, Draws(frame.template.text))
        found = recognise(instruction)
        assert found is not None
        slots += len(set(re.findall(r"\{(\w+)\}", frame.template.text.lower())))
        found_again += len(found.used)
    assert found_again > 0.95 * slots


def test_commonplaces_get_their_own_examples() -> None:
    """What everybody thinks of is answered properly."""
    text = Author(shares=PERFECT).write(
        asking("instances_input_first", "What is the capital of the given country?"), "x"
    )
    pairs = re.findall(r"^Input: (.+)\nOutput: (.+)$", text, re.MULTILINE)
    assert pairs
    assert set(pairs) <= {("Portugal", "Lisbon"), ("Kenya", "Nairobi"), ("Canada", "Ottawa")}


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("Write down the place in the note.", None),
        ("Find the weekday in the short note about kneading dough by hand at a patisserie.", "day"),
        (
            "Carla, a baker, spends 9 minutes a day on waiting. How many hours is that in 40 days?",
            "6",
        ),
    ],
)
def test_labels_for_other_tasks_are_their_answers(instruction: str, expected: str | None) -> None:
    """A task that was taken for a classification by mistake is answered all the same."""
    text = Author(shares=PERFECT).write(asking("instances_output_first", instruction), "x")
    found = re.match(r"Class label: (.+)\nInput: (.+)", text)
    assert found is not None
    assert expected is None or expected in found[1]


def test_two_outputs_for_one_input_stay_together() -> None:
    """The reply that contradicts itself has the right answer in it as well."""
    author = Author(shares=replace(PERFECT, contradicted=1.0))
    instruction = "Is the short note about the tide tables at a shipyard urgent or routine?"
    text = author.write(asking("instances_output_first", instruction), "x")
    *_, (right, given), (other, again) = re.findall("Class label: (.+)\nInput: (.+)", text)
    assert right in {"urgent", "routine"}
    assert (other, again) == ("none of these", given)


def test_labels_come_from_the_task() -> None:
    """Each example carries a label that the instruction names, and no two have the same input."""
    author = Author(shares=PERFECT)
    asked = [task for task in INSTRUCTIONS if getattr(recognise(task), "kind", "") == LABEL_KIND]
    for instruction in asked[:200]:
        text = author.write(asking("instances_output_first", instruction), "x")
        blocks = re.findall(r"^Class label: (.+)\nInput: (.+)$", text, re.MULTILINE)
        assert 1 <= len(blocks) <= 3
        assert all(label in instruction for label, _ in blocks)
        assert len({given for _, given in blocks}) == len(blocks)


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        (
            "Carla, a baker, spends 9 minutes a day on waiting. How many hours is that in 40 days?",
            "6 hours",
        ),
        ("Put the amounts in order.", None),
    ],
)
def test_word_problems_are_solved(instruction: str, answer: str | None) -> None:
    """The numbers are read out of the instruction, and the result is right."""
    text = Author(shares=PERFECT).write(asking("instances_input_first", instruction), "x")
    assert answer is None or text == f"Output: {answer}"


def test_sorted_lists_are_sorted() -> None:
    """What is asked for in order comes in order."""
    author = Author(shares=PERFECT)
    instruction = (
        "Arrange the appointments that a baker has made with a book club about kneading dough by "
        "hand from the earliest to the latest."
    )
    text = author.write(asking("instances_input_first", instruction), "x")
    for before, after in re.findall(r"^Input: (.+)\nOutput: (.+)$", text, re.MULTILINE):
        assert sorted(before.split(", ")) == after.split(", ")


def test_tasks_that_need_an_input_are_in_the_majority() -> None:
    """About two in five of the tasks that are no classification need none."""
    kinds = [found.kind for found in map(recognise, INSTRUCTIONS) if found is not None]
    assert 0.12 < kinds.count(LABEL_KIND) / len(kinds) < 0.3
    others = [kind for kind in kinds if kind != LABEL_KIND]
    assert 0.33 < sum(kind in WITHOUT_INPUT for kind in others) / len(others) < 0.5


def test_tasks_are_of_a_readable_length() -> None:
    """Nine tasks in ten have 8 to 40 words."""
    lengths = [len(task.split()) for task in INSTRUCTIONS]
    assert sum(8 <= length <= 40 for length in lengths) > 0.9 * len(lengths)


def accepted(candidates: list[str], known: list[str]) -> int:
    """How many candidates have a ROUGE-L F of at most 0.7 to all before them, by brute force."""
    pool = [re.findall("[a-z0-9]+", text.lower()) for text in known]
    taken = 0
    for candidate in candidates:
        words = re.findall("[a-z0-9]+", candidate.lower())
        if all(2 * LCSseq.similarity(words, w) <= 0.7 * (len(words) + len(w)) for w in pool):
            pool.append(words)
            taken += 1
    return taken


def test_most_but_not_all_of_the_first_tasks_are_new() -> None:
    """Of the first 2,000 lines, between three and eight in ten pass a novelty filter."""
    author = Author()
    lines: list[str] = []
    seed = 0
    while len(lines) < 2_000:
        text = author.write(asking_for_tasks(seed), f"novelty {seed}")
        lines += re.findall(r"^\d+\. (.+)$", text, re.MULTILINE)
        seed += 1
    usable = [line for line in lines[:2_000] if len(line.split()) > 3 and line[0].isalnum()]
    assert 600 <= accepted(usable, INSTRUCTIONS[:20]) <= 1_600


def test_faults_in_lists_keep_to_their_shares() -> None:
    """Refusals and other layouts turn up, and not too often."""
    author = Author()
    seen: Counter[str] = Counter()
    for seed in range(2_000):
        text = author.write(asking_for_tasks(seed), f"faults {seed}")
        lines = text.split("\n")
        right = [line.partition(". ")[0] for line in lines] == [str(n) for n in range(9, 17)]
        refused = "sorry" in text or "apologi" in text
        seen["refused"] += refused
        seen["malformed"] += not right and not refused
        seen["curt"] += sum(len(line.split()) <= 4 for line in lines) if right else 0
        seen["program"] += text.count(". Write a program")
    assert 20 <= seen["refused"] <= 60
    assert 80 <= seen["malformed"] <= 160
    assert 250 <= seen["curt"] <= 550
    assert 200 <= seen["program"] <= 440


def test_faults_in_verdicts_keep_to_their_shares() -> None:
    """Most verdicts are one word; a few are unclear."""
    author = Author()
    prompt = asking("classify", INSTRUCTIONS[0])
    seen = Counter(author.write(prompt, f"faults {seed}") for seed in range(3_000))
    assert 0.85 < (seen["Yes"] + seen["No"]) / 3_000 < 0.95
    assert 0.008 < sum(seen[text] for text in UNCLEAR) / 3_000 < 0.025


def test_faults_in_examples_keep_to_their_shares() -> None:
    """Refused, run-on, chatty and hostile replies turn up, and not too often."""
    author = Author()
    seen: Counter[str] = Counter()
    for seed in range(4_000):
        prompt = asking("instances_input_first", INSTRUCTIONS[seed % 2_000])
        text = author.write(prompt, f"faults {seed}")
        seen["refused"] += text in INSTANCE_APOLOGIES
        seen["ran on"] += "\nTask: " in text
        seen["chatty"] += text.startswith(("Sure!", "Of course.", "Here are"))
        seen["no output"] += "Output:" not in text and text not in INSTANCE_APOLOGIES
        seen["not applicable"] += bool(re.search(r"^Output: N/A$", text, re.MULTILINE))
        seen["empty"] += bool(re.search(r"^Output:$", text, re.MULTILINE))
        seen["hostile"] += "\x1b" in text or "<script" in text or "<img" in text
    assert 80 <= seen["refused"] <= 170
    assert 80 <= seen["ran on"] <= 170
    assert 50 <= seen["chatty"] <= 120
    assert 20 <= seen["no output"] <= 160
    assert 60 <= seen["not applicable"] <= 260
    assert 60 <= seen["empty"] <= 260
    assert 2 <= seen["hostile"] <= 20


@given(st.text(max_size=300), st.text(max_size=40))
def test_no_prompt_is_too_strange(prompt: str, seed: str) -> None:
    """Any text gets a reply."""
    assert Author().write(prompt, seed)


MARKERS = ["Task: ", "\n", "Class label: ", "Input: ", "Output: ", "1. ", "9.", "\n2)", "?", "A "]
WORDS = ["tasks 0 to 9999", "classification", " at most 0 ", "Is it", " or ", ", ", '"', "{labels}"]
PIECES = st.sampled_from([*MARKERS, *WORDS, "\ud800", "\x00", *INSTRUCTIONS[:10]])


@given(st.lists(PIECES, max_size=25).map("".join))
def test_no_prompt_made_of_the_right_pieces_is_too_strange(prompt: str) -> None:
    """Half a prompt, and a prompt with everything in it, get a reply as well."""
    for shares in (FaultShares(), PERFECT):
        assert isinstance(Author(shares=shares).write(prompt, "x"), str)
