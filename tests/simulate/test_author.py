"""The simulated author's replies are deterministic and well-formed, with mistakes as often as configured."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq
from support import ROOT

from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.grammar import word_list
from selfinstruct.simulate.author.inputs_and_outputs import needs_input
from selfinstruct.simulate.author.instructions import (
    LABEL_KIND,
    all_frames,
    compose,
    fill_frame,
    recognise,
)
from selfinstruct.simulate.author.mistake_rates import PERFECT, FaultShares
from selfinstruct.simulate.seeded_random import SeededRandom

INSTRUCTIONS = [compose(SeededRandom(f"test {number}")) for number in range(2_000)]
LIST = "Go on with tasks 3 to 6:\n\n1. Sing.\n2. Hum."
EXAMPLES = "Task: Name a colour.\nOutput: red\n\nTask: Classify the text as urgent or routine."


def template(name: str) -> str:
    """Return one of the packaged Self-Instruct prompt templates."""
    return (ROOT / "prompts" / "self-instruct" / f"{name}.txt").read_text(encoding="utf-8")


def list_prompt(seed: int) -> str:
    """Return a prompt of the stage `generate` with eight demonstrations, which depend on `seed`."""
    text = template("generate").partition("{% for")[0]
    text = text.replace("{{ demonstrations | length }}", "8")
    text = text.replace("{{ first_number }}", "9").replace("{{ last_number }}", "16")
    tasks = INSTRUCTIONS[seed % 1_900 :][:8]
    return text + "\n".join(f"{number}. {task}" for number, task in enumerate(tasks, 1))


def prompt(name: str, instruction: str) -> str:
    """Return a prompt of another stage about `instruction`. `name` is the template's name."""
    text = template(name).replace("{{ instruction }}", instruction)
    return text.replace("{{ max_instances }}", "3")


def test_replies_are_equal_in_every_process() -> None:
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


def test_another_seed_gives_another_reply() -> None:
    for write in (Author().write, Author().continue_text):
        assert write(LIST, "x") == write(LIST, "x") != write(LIST, "y")


def test_lists_continue_with_the_numbers_asked() -> None:
    author = Author(shares=PERFECT)
    for text, numbers in {
        list_prompt(0): range(9, 17),
        "Rules: 1. Be brief.\nMore, please (3-5):\n\n1. Swim.\n2. Run.": range(3, 6),
        "Come up with a series of tasks:\n1. Swim.\n2. Run.\n3.": range(3, 11),
    }.items():
        lines = author.write(text, "x").split("\n")
        assert [line.partition(". ")[0] for line in lines] == [str(n) for n in numbers]


def test_classification_answers_are_right() -> None:
    author = Author(shares=PERFECT)
    expected = {
        "Classify the animal as a mammal or a bird.": "Yes",
        "Is the number prime? Answer yes or no.": "Yes",
        "Which category does the product belong to?": "Yes",
        "Decide whether the two sentences mean the same.": "Yes",
        "Write a haiku about the sea.": "No",
        "What is the capital of Portugal?": "No",
    }
    for instruction in INSTRUCTIONS[:300]:
        task = recognise(instruction)
        assert task is not None, instruction
        expected[instruction] = "Yes" if task.kind == LABEL_KIND else "No"
    answers = {task: author.write(prompt("classify", task), "x") for task in expected}
    assert answers == expected


def test_every_frame_is_recognised_and_answered() -> None:
    author = Author(shares=PERFECT)
    wrong = []
    for frame in all_frames():
        for number in range(4):
            instruction = fill_frame(frame, SeededRandom(f"frame {number}"))
            task = recognise(instruction)
            text = author.write(prompt("instances_input_first", instruction), f"{number}")
            labels = author.write(prompt("instances_output_first", instruction), f"{number}")
            if not (
                task is not None
                and task.kind == frame.kind
                and all(words in instruction for words in task.used.values())
                and ("Input: " in text) == needs_input(frame.kind)
                and "Output: " in text
                and "Class label: " in labels
                and "{" not in instruction + text + labels
            ):
                wrong.append(instruction)
    assert wrong == []


def test_labels_come_from_the_instruction() -> None:
    author = Author(shares=PERFECT)
    asked = [task for task in INSTRUCTIONS if getattr(recognise(task), "kind", "") == LABEL_KIND]
    for instruction in asked[:200]:
        text = author.write(prompt("instances_output_first", instruction), "x")
        blocks = re.findall(r"^Class label: (.+)\nInput: (.+)$", text, re.MULTILINE)
        assert 1 <= len(blocks) <= 3
        assert all(label in instruction for label, _ in blocks)
        assert len({given for _, given in blocks}) == len(blocks)


def test_sorted_lists_are_sorted() -> None:
    instruction = (
        "Arrange the appointments that a baker has made with a book club about kneading dough by "
        "hand from the earliest to the latest."
    )
    for seed in range(20):
        text = Author(shares=PERFECT).write(prompt("instances_input_first", instruction), f"{seed}")
        pairs = re.findall(r"^Input: (.+)\nOutput: (.+)$", text, re.MULTILINE)
        assert pairs
        assert all(sorted(before.split(", ")) == after.split(", ") for before, after in pairs)


def test_kinds_and_lengths_are_mixed() -> None:
    kinds = [task.kind for task in map(recognise, INSTRUCTIONS) if task is not None]
    assert 0.12 < kinds.count(LABEL_KIND) / len(kinds) < 0.3
    others = [kind for kind in kinds if kind != LABEL_KIND]
    assert 0.33 < sum(not needs_input(kind) for kind in others) / len(others) < 0.55
    lengths = [len(task.split()) for task in INSTRUCTIONS]
    assert sum(8 <= length <= 40 for length in lengths) > 0.9 * len(lengths)


def accepted(candidates: list[str], known: list[str]) -> int:
    """Return the number of candidates whose ROUGE-L F1 to every text accepted earlier is at most 0.7."""
    pool = [re.findall("[a-z0-9]+", text.lower()) for text in known]
    number = 0
    for candidate in candidates:
        words = re.findall("[a-z0-9]+", candidate.lower())
        if all(2 * LCSseq.similarity(words, w) <= 0.7 * (len(words) + len(w)) for w in pool):
            pool.append(words)
            number += 1
    return number


def test_most_but_not_all_tasks_are_new() -> None:
    author = Author()
    lines: list[str] = []
    seed = 0
    while len(lines) < 2_000:
        text = author.write(list_prompt(seed), f"novelty {seed}")
        lines += re.findall(r"^\d+\. (.+)$", text, re.MULTILINE)
        seed += 1
    usable = [line for line in lines[:2_000] if len(line.split()) > 3 and line[0].isalnum()]
    assert 600 <= accepted(usable, INSTRUCTIONS[:20]) <= 1_600


def test_mistakes_keep_to_their_shares() -> None:
    author = Author()
    seen: Counter[str] = Counter()
    for seed in range(2_000):
        text = author.write(list_prompt(seed), f"faults {seed}")
        lines = text.split("\n")
        right = [line.partition(". ")[0] for line in lines] == [str(n) for n in range(9, 17)]
        seen["list refused"] += text in word_list("apology")
        seen["malformed"] += not right and text not in word_list("apology")
        seen["curt"] += sum(len(line.split()) <= 4 for line in lines) if right else 0
        seen["program"] += text.count(". Write a program")
        text = author.write(prompt("classify", INSTRUCTIONS[0]), f"faults {seed}")
        seen["one word"] += text in ("Yes", "No")
        seen["unclear"] += text in word_list("unclear")
        text = author.write(prompt("instances_input_first", INSTRUCTIONS[seed]), f"faults {seed}")
        seen["refused"] += text in word_list("apology")
        seen["ran on"] += "\nTask: " in text
        seen["chatty"] += text.startswith(("Sure!", "Of course."))
        seen["not applicable"] += bool(re.search(r"^Output: N/A$", text, re.MULTILINE))
        seen["empty"] += bool(re.search(r"^Output:$", text, re.MULTILINE))
        seen["hostile"] += "\x1b" in text or "<script" in text or "<img" in text
    bounds = {
        "list refused": (20, 60),
        "malformed": (80, 160),
        "curt": (250, 550),
        "program": (200, 440),
        "one word": (1_700, 1_900),
        "unclear": (16, 50),
        "refused": (20, 60),
        "ran on": (35, 90),
        "chatty": (20, 65),
        "not applicable": (30, 130),
        "empty": (30, 130),
        "hostile": (1, 12),
    }
    assert {
        name: n for name, n in seen.items() if not bounds[name][0] <= n <= bounds[name][1]
    } == {}


def test_contradictions_include_the_right_output() -> None:
    author = Author(shares=replace(PERFECT, contradicted=1.0))
    instruction = "Is the short note about the tide tables at a shipyard urgent or routine?"
    text = author.write(prompt("instances_output_first", instruction), "x")
    *_, (right, given), (other, again) = re.findall("Class label: (.+)\nInput: (.+)", text)
    assert right in {"urgent", "routine"}
    assert (other, again) == ("none of these", given)


def test_thoughts_and_echoes_precede_the_reply() -> None:
    thinking = Author(shares=replace(PERFECT, thinking=1.0))
    echoing = Author(shares=replace(PERFECT, prompt_echoed=1.0))
    for text in (LIST, EXAMPLES + "\n", "Hello."):
        reply = Author(shares=PERFECT).write(text, "x")
        found = re.fullmatch(
            r"<think>\n.+?\n</think>\n\n(.+)", thinking.write(text, "x"), re.DOTALL
        )
        assert found is not None
        assert found[1] == reply
        assert echoing.write(text, "x") == f"{text.rstrip()}\n{reply}"


def test_restyled_markers_change_nothing_else() -> None:
    author = Author(shares=replace(PERFECT, markers_restyled=1.0))
    seen = set()
    for seed in range(20):
        text = author.write(EXAMPLES, f"{seed}")
        bold = "**Input:**" in text
        seen.add(bold)
        for name in ("Input", "Output"):
            text = text.replace(f"**{name}:**" if bold else f"{name.lower()} :", f"{name}:")
        assert text == Author(shares=PERFECT).write(EXAMPLES, f"{seed}")
    assert seen == {True, False}


PIECES = st.sampled_from(
    [
        *("Task: ", "\n", "Class label: ", "Input: ", "Output: ", "1. ", "9.", "\n2)", "?", "A "),
        *(
            "tasks 0 to 9999",
            "classification",
            " at most 0 ",
            "Is it",
            " or ",
            ", ",
            '"',
            "{labels}",
        ),
        *("###", "4. Instruction:", "20 tasks", "\ud800", "\x00", *INSTRUCTIONS[:10]),
    ]
)


@given(st.text(max_size=300) | st.lists(PIECES, max_size=25).map("".join))
def test_any_prompt_gets_a_reply(text: str) -> None:
    for shares in (FaultShares(), PERFECT):
        assert isinstance(Author(shares=shares).write(text, "x"), str)
        assert isinstance(Author(shares=shares).continue_text(text, "x"), str)


@given(st.integers(1, 50), st.integers(0, 60))
def test_some_of_returns_different_options(number: int, wanted: int) -> None:
    chosen = SeededRandom(f"{number} {wanted}").some_of(range(number), wanted)
    assert len(set(chosen)) == len(chosen) == min(number, wanted)
