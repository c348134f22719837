"""Test parsing instances as current models write them: each is accepted, or rejected with a reason."""

import pytest
from support import make_completion

from selfinstruct.pipeline.parse.instances import instances
from selfinstruct.pipeline.parse.types import AskedInstances
from selfinstruct.records import Reason

ID = "instances/task_000001"
Pairs = list[tuple[str, str]]


def read(
    text: str,
    *,
    output_first: bool = False,
    instruction: str = "",
    limit: int | None = None,
    finish_reason: str | None = "stop",
) -> tuple[Pairs, list[Reason]]:
    parsed = instances(
        ID,
        make_completion(text, finish_reason=finish_reason),
        AskedInstances(output_first=output_first, instruction=instruction, limit=limit),
    )
    kept = [(one.input, one.output) for one in parsed.instances]
    return kept, [one.reason for one in parsed.rejections]


# ── markers ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("Input:", "Output:"),
        ("**Input:**", "**Output:**"),
        ("**Input**:", "**Output**:"),
        ("__Input:__", "__Output:__"),
        ("### Input:", "### Output:"),
        ("- Input:", "- Output:"),
        ("> Input:", "> Output:"),
        ("input:", "output:"),
        ("input :", "output :"),
        ("INPUT:", "OUTPUT:"),
        ("Input 1:", "Output 1:"),
        ("Input：", "Output："),
        ("Sample Input:", "Expected Output:"),
        ("입력:", "출력:"),
        ("Entrada:", "Salida:"),
        ("Entrée :", "Sortie :"),
        ("Eingabe:", "Ausgabe:"),
        ("Ввод:", "Вывод:"),
        ("输入：", "输出："),
        ("入力：", "出力："),
    ],
)
def test_markers_may_be_bold_or_translated(given: str, output: str) -> None:
    text = f"{given} Two\n{output} Four"
    assert read(text) == ([("Two", "Four")], [])
    assert read(f"{text}\n\n{given}\nThree\n{output}\nNine") == (
        [("Two", "Four"), ("Three", "Nine")],
        [],
    )


@pytest.mark.parametrize(
    "label",
    ["Class label:", "**Class label:**", "class label :", "Label:", "Class:", "레이블:", "标签："],
)
def test_labels_may_be_bold_or_translated(label: str) -> None:
    text = f"{label} good\nInput: I love it.\n{label} bad\nInput: I hate it."
    expected = [("I love it.", "good"), ("I hate it.", "bad")]
    assert read(text, output_first=True) == (expected, [])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Output: Rye & Shine", [("", "Rye & Shine")]),
        ("Output: def f():\n    return 1", [("", "def f():\n    return 1")]),
        (
            "Example 1\nInput: 2\nOutput: 4\nExample 2\nInput: 3\nOutput: 9",
            [("2", "4"), ("3", "9")],
        ),
        ("**Example 1:**\nInput: 2\nOutput: 4\n\n**Example 2:**\nInput: 3\nOutput: 9", None),
        ("예시 1\n입력: 2\n출력: 4\n예시 2\n입력: 3\n출력: 9", [("2", "4"), ("3", "9")]),
        ("Example 1: Input: 2\nOutput: 4", [("2", "4")]),
        ("Sure! Here is one:\n\nInput: 2\nOutput: 4", [("2", "4")]),
        ("Input: 2 Output: 4\nInput: 3 Output: 9", [("2", "4"), ("3", "9")]),
        # An input may contain field names.
        (
            "Example 1\nSentence: I am here.\nOutput: Je suis là.",
            [("Sentence: I am here.", "Je suis là.")],
        ),
        ("Side: 3\nAngle: 90\nOutput: 9", [("Side: 3\nAngle: 90", "9")]),
        # A text keeps its letter case, line breaks and indentation.
        ("Input: The PhD\n  in AI\nOutput: LE doctorat", [("The PhD\n  in AI", "LE doctorat")]),
        # The words "Example" and "output" in prose do not split a text.
        ("Output: see Example 1 above", [("", "see Example 1 above")]),
        (
            "Output: For Example, a cat.\nExample 2 is a dog.",
            [("", "For Example, a cat.\nExample 2 is a dog.")],
        ),
        ("Input: The output: 3 tons\nOutput: Tons", [("The output: 3 tons", "Tons")]),
        ("Output: Task 3 is done.", [("", "Task 3 is done.")]),
        ("<think>Input: 1\nOutput: 1</think>\nInput: 2\nOutput: 4", [("2", "4")]),
        ("Input: 2\nOutput: 4<think>Is it?", [("2", "4")]),
        ("Input: 2\nOutput: 4\n---\nInput: 3\nOutput: 9", [("2", "4"), ("3", "9")]),
    ],
)
def test_inputs_and_outputs_are_found(text: str, kept: Pairs | None) -> None:
    assert read(text) == (kept or [("2", "4"), ("3", "9")], [])


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Class label: yes\nInput: 97\nClass label: no\nInput: 91", [("97", "yes"), ("91", "no")]),
        ("Class label: true", [("", "true")]),
        ("Class label: good\nEmail: I love it.", [("Email: I love it.", "good")]),
        ("Class label: good\nI love it.\nSo much.", [("I love it.\nSo much.", "good")]),
        ("Class label: **good**\nInput: I love it.", [("I love it.", "good")]),
        # The inputs may come before the labels.
        ("Input: 97\nClass label: yes\nInput: 91\nClass label: no", [("97", "yes"), ("91", "no")]),
        ("Example 1\nClass label: yes\nInput: 97\nExample 2\nClass label: no\nInput: 91", None),
        # An input may have a field whose name looks like a label's marker.
        ("Class label: yes\nInput: Tea\nCategory: drinks", [("Tea\nCategory: drinks", "yes")]),
        ("Input: 97\nOutput: yes", [("97", "yes")]),
    ],
)
def test_labels_and_their_inputs_are_found(text: str, kept: Pairs | None) -> None:
    assert read(text, output_first=True) == (kept or [("97", "yes"), ("91", "no")], [])


def test_inputs_without_a_label_are_ambiguous() -> None:
    text = "Input: 97\nClass label: yes\nInput: 91\nClass label: no\nInput: 8"
    ambiguous = Reason.AMBIGUOUS_FORMAT
    assert read(text, output_first=True) == ([], [ambiguous, ambiguous])
    cut = read(text, output_first=True, finish_reason="length")
    assert cut == ([], [ambiguous, Reason.TRUNCATED])
    text = "Input: 97\nClass label: yes\nClass label: no"
    assert read(text, output_first=True) == ([], [ambiguous, ambiguous])


@pytest.mark.parametrize(
    ("text", "instruction", "kept"),
    [
        ("Sure! Here is one:\nOutput: Como", "", [("", "Como")]),
        ("Some examples of it\nInput: 2\nOutput: 4", "", [("2", "4")]),
        ("Some words\nExample 1\nInput: 2\nOutput: 4", "", [("2", "4")]),
        ("Input: 2\nOutput: 4\nExample 1\nInput: 3\nOutput: 9", "", [("2", "4"), ("3", "9")]),
        ("To: French\nInput: I am.\nOutput: Je suis.", "", [("To: French\nI am.", "Je suis.")]),
        ("def f(x): x\nInput: 2\nOutput: 4", "", [("def f(x): x\n2", "4")]),
        ("def f(): 4\nOutput: 4", "Say what the code prints.", [("def f(): 4", "4")]),
        ("Sides: 3, 4\nOutput: def f(): 1", "Write a function.", [("Sides: 3, 4", "def f(): 1")]),
        ("Output: I use\nExample 1\nas a model.", "", [("", "I use\nExample 1\nas a model.")]),
        ("Example 1\nRoses.\nExample 2\nViolets.", "", [("", "Roses."), ("", "Violets.")]),
        ("Example 1: A cat.\nExample 2: A dog.", "", [("", "A cat."), ("", "A dog.")]),
        ("Example 1： A cat.\nExample 2： A dog.", "", [("", "A cat."), ("", "A dog.")]),
        ("Example 1\nA cat.\nExample 2 is out.", "", [("", "A cat.\nExample 2 is out.")]),
        ("Output: a\nOutput: b", "", [("", "a"), ("", "b")]),
        ("What is 2 + 2?\nAnswer: 4", "", [("What is 2 + 2?", "4")]),
        ("Answer: 4", "", [("", "4")]),
        ("Sure! Here is a lake:\nLake Como", "Name a lake.", [("", "Lake Como")]),
        ("Input: 2\nOutput: 4\nTask", "", [("2", "4")]),
    ],
)
def test_text_around_markers_is_assigned(text: str, instruction: str, kept: Pairs) -> None:
    assert read(text, instruction=instruction) == (kept, [])


# ── the part of the reply about this task ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "mark",
    [
        "Task:",
        "**Task:**",
        "## Task:",
        "Task 9:",
        "Next task:",
        "Task：",
        "Is it classification? No\n",
    ],
)
def test_text_about_the_next_task_is_removed(mark: str) -> None:
    text = f"Input: 2\nOutput: 4\n\n{mark} Name a lake.\nOutput: Lake Como"
    assert read(text) == ([("2", "4")], [])
    # The instance before the mark is complete. So nothing is lost if the reply is cut after the mark.
    assert read(text, finish_reason="length") == ([("2", "4")], [])


def test_a_repeated_prompt_is_no_instance() -> None:
    text = "Task: Name a lake.\nOutput: Como\n\nTask: Square the number.\nInput: 2\nOutput: 4"
    assert read(text, instruction="Square the number.") == ([("2", "4")], [])
    assert read("Task: Square it!\nInput: 2\nOutput: 4", instruction="Square the number.") == (
        [("2", "4")],
        [],
    )


# ── without markers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        ("Write a function that squares a number.", "def f(x):\n    return x * x"),
        ("Write a function that squares a number.", "```python\ndef f(x):\n    return x * x\n```"),
        ("Write a SQL query that counts the users.", "SELECT count(*) FROM users;"),
        ("Name a lake in Italy.", "Lake Como"),
        (
            "Explain why the sky is blue.",
            "Blue light is scattered more than red light.\n\nSo it is blue.",
        ),
    ],
)
def test_clear_text_without_markers_is_output(instruction: str, text: str) -> None:
    assert read(text, instruction=instruction) == ([("", text)], [])


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        # The text could be either the input or the output.
        ("Sum up the given text.", "The lake is deep and cold."),
        ("Translate this sentence into French.", "I am here."),
        ("Explain what this code does.", "def f(x):\n    return x * x"),
        ("Add two numbers.", "First: 3\nSecond: 4"),
        ("Write a function that squares a number.", "It multiplies the number with itself."),
        # The text is an input without an answer, or an answer after the wrong marker.
        ("Name a lake in Italy.", "Input: Lake Como"),
        ("Square a number.", "Input: 2\nand the answer is 4"),
        # The result of the requested code is not the output of the task.
        ("Write a function that squares a number.", "def f(x):\n    return x * x\nOutput: 4"),
        ("Write a function.", "def f():\n    return 1\nAnswer: 1"),
        ("Name a lake in Italy.", "SELECT 1;"),
        ("Square two.", "The output is 4."),
        # There are two outputs for one input.
        ("Name a lake.", "Input: Italy\nOutput: Como\nOutput: Garda"),
    ],
)
def test_unclear_text_is_ambiguous(instruction: str, text: str) -> None:
    _, reasons = read(text, instruction=instruction)
    assert reasons == [Reason.AMBIGUOUS_FORMAT]


def test_unfinished_text_without_markers_is_rejected() -> None:
    def read_unended(text: str, instruction: str) -> tuple[Pairs, list[Reason]]:
        """Parse a reply that has no finish reason."""
        return read(text, instruction=instruction, finish_reason=None)

    text = "The sky is blue because the light of the sun"
    task = "Explain why the sky is blue."
    assert read_unended(text, task) == ([], [Reason.TRUNCATED])
    assert read(text, instruction=task) == (
        [("", text)],
        [],
    )  # the finish reason says that the reply is complete
    # A short last line may be complete, as in a poem.
    poem = "Roses are red and violets are blue\nSugar is sweet and so are you"
    assert read_unended(poem.rsplit(" ", 2)[0], "Write a poem.")[1] == []
    assert read_unended(poem, "Write a poem.")[1] == [Reason.TRUNCATED]
    text = "def f(x):\n    return g(x"
    assert read_unended(text, "Write a function.") == ([], [Reason.TRUNCATED])


# ── rejected instances ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "spelling",
    [
        "<noinput>",
        "<NoInput>",
        "<No Input>",
        "< noinput >",
        "<no input>",
        "<no_input>",
        "[No input]",
        "(no input)",
        "No input needed.",
        "No input required",
        "noinput",
        "N/A",
        "n/a.",
        "None",
        "None.",
        "null",
        "Not applicable",
        "-",
        "—",
        "…",
        "",
    ],
)
def test_spellings_of_no_input_mean_empty(spelling: str) -> None:
    assert read(f"Input: {spelling}\nOutput: 4") == ([("", "4")], [])


@pytest.mark.parametrize(
    "spelling", ["No", "Nothing rhymes.", "None of them", "0", "?", "Null and void"]
)
def test_similar_words_are_inputs(spelling: str) -> None:
    assert read(f"Input: {spelling}\nOutput: 4") == ([(spelling, "4")], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Input: 2\nOutput: N/A", Reason.EMPTY_OUTPUT),
        ("Input: 2\nOutput: <nooutput>", Reason.EMPTY_OUTPUT),
        ("Input: 2\nOutput: None.", Reason.EMPTY_OUTPUT),
        ("Input: 2\nOutput: …", Reason.EMPTY_OUTPUT),
        ("Input: Two\nOutput: two", Reason.OUTPUT_EQUALS_INPUT),
        ("Input: 2\nOutput: The square is:", Reason.ENDS_IN_COLON),
        ("Input: 2\nOutput: **The square is:**", Reason.ENDS_IN_COLON),
        ("Input: The number:\nOutput: 4", Reason.ENDS_IN_COLON),
        ("Input: 数：\nOutput: 4", Reason.ENDS_IN_COLON),
        ("Input: 2\nOutput: As an AI, I cannot count.", Reason.REFUSAL),
        ("Input: 2\nOutput: I'm sorry, but I can't count.", Reason.REFUSAL),
        ("Input: 2\nOutput: I’m unable to access the number.", Reason.REFUSAL),
    ],
)
def test_an_instance_without_a_valid_output_is_rejected(text: str, reason: Reason) -> None:
    assert read(text) == ([], [reason])
    # Other instances are still accepted.
    assert read(f"{text}\n\nInput: 3\nOutput: 9") == ([("3", "9")], [reason])


@pytest.mark.parametrize(
    "output", ["No", "0", "none of these", "I can help you.", "Sorry is a word.", "?"]
)
def test_a_short_output_is_an_output(output: str) -> None:
    assert read(f"Input: 2\nOutput: {output}") == ([("2", output)], [])


def test_an_empty_output_is_rejected() -> None:
    assert read("Input: 3\nOutput: 9\nInput: 2\nOutput:") == ([("3", "9")], [Reason.EMPTY_OUTPUT])
    assert read("Input: 3\nOutput: 9\nInput: 2") == ([("3", "9")], [Reason.NO_OUTPUT])
    assert read("Output:") == ([], [Reason.EMPTY_OUTPUT])


def test_duplicate_instances_are_accepted_once() -> None:
    copied = "Input: 2\nOutput: 4\nInput: 2\nOutput: 4"
    assert read(copied) == ([("2", "4")], [Reason.DUPLICATE_INSTANCE])


def test_outputs_of_one_input_conflict() -> None:
    conflict = "Input: 2\nOutput: 4\nInput: 3\nOutput: 9\nInput: 2\nOutput: 5"
    assert read(conflict) == ([("3", "9")], [Reason.CONFLICTING_OUTPUTS] * 2)
    labels = "Class label: a\nInput: x\nClass label: b\nInput: x\nClass label: a\nInput: y"
    assert read(labels, output_first=True) == ([("y", "a")], [Reason.CONFLICTING_OUTPUTS] * 2)


def test_several_labels_without_input_conflict() -> None:
    poems = "Example 1\nOutput: Roses are red.\nExample 2\nOutput: The sea is blue."
    assert read(poems) == ([("", "Roses are red."), ("", "The sea is blue.")], [])
    labels = "Class label: a\nClass label: b"
    assert read(labels, output_first=True) == ([], [Reason.CONFLICTING_OUTPUTS] * 2)


def test_a_label_with_an_empty_input_is_rejected() -> None:
    text = "Class label: a\nInput:\nClass label: b\nInput: x"
    assert read(text, output_first=True) == ([("x", "b")], [Reason.EMPTY_INPUT])
    assert read("Class label: a\nInput: <noinput>", output_first=True) == ([("", "a")], [])
    assert read("Class label:\nInput: x", output_first=True) == ([], [Reason.EMPTY_OUTPUT])
    assert read("Class label: N/A\nInput:", output_first=True) == ([], [Reason.EMPTY_OUTPUT])
    assert read("Class label: a\nInput:\nInput: x", output_first=True) == ([("x", "a")], [])
    # If the task is not about labels, an empty input means that no input is needed.
    assert read("Input:\nOutput: 4") == ([("", "4")], [])


def test_the_first_valid_instances_are_accepted() -> None:
    text = "\n".join(f"Input: {n}\nOutput: {n * n}" for n in range(1, 7))
    reasons = [Reason.OUTPUT_EQUALS_INPUT, *[Reason.OVER_LIMIT] * 3]
    assert read(text, limit=2) == ([("2", "4"), ("3", "9")], reasons)


# ── truncated and empty replies ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
@pytest.mark.parametrize(
    ("text", "output_first", "kept"),
    [
        ("Input: 2\nOutput: 4\nInput: 3\nOutput: 9", False, [("2", "4")]),
        ("Input: 2\nOutput: 4\nInput: 3", False, [("2", "4")]),
        ("Output: 4", False, []),
        ("Lake Como", False, []),
        ("Class label: a\nInput: x\nClass label: b\nInput: half a sen", True, [("x", "a")]),
        ("Class label: a\nInput: x\nClass label: b", True, [("x", "a")]),
    ],
)
def test_a_truncated_reply_loses_only_its_last_instance(
    text: str, finish_reason: str, kept: Pairs, *, output_first: bool
) -> None:
    found, reasons = read(text, output_first=output_first, finish_reason=finish_reason)
    assert found == kept
    assert reasons == [Reason.TRUNCATED]


@pytest.mark.parametrize("output_first", [False, True])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY_REPLY),
        (" \n", Reason.EMPTY_REPLY),
        ("<think>Input: 2\nOutput: 4", Reason.EMPTY_REPLY),
        ("I'm sorry, I can't assist with that.", Reason.REFUSAL),
        ("As an AI language model, I have no examples.", Reason.REFUSAL),
    ],
)
def test_a_reply_without_content_is_rejected(
    text: str, reason: Reason, *, output_first: bool
) -> None:
    assert read(text, output_first=output_first) == ([], [reason])


def test_a_reply_without_labels_has_no_output() -> None:
    assert read("It is good.", output_first=True) == ([], [Reason.NO_OUTPUT])


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that your parcel is late. We will look for it today.",
        "As an AI researcher, Ann spends her days with data.",
        "We are sorry that the concert is off.",
        "I can't wait to see you all again!",
    ],
)
def test_a_polite_answer_is_no_refusal(answer: str) -> None:
    assert read(f"Output: {answer}") == ([("", answer)], [])


def test_none_is_a_label_but_no_output() -> None:
    labels = "Class label: none\nInput: The sky is blue.\nClass label: anger\nInput: Go away!"
    assert [output for _, output in read(labels, output_first=True)[0]] == ["none", "anger"]
    assert read("Input: 2\nOutput: none") == ([], [Reason.EMPTY_OUTPUT])


def test_an_introduction_is_no_output() -> None:
    assert read("Sure! Here is the poem:", instruction="Write a poem.")[0] == []
