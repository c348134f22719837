"""Test the shipped seed tasks: their schema, their variety, and all answers that a program can check."""

import ast
import contextlib
import csv
import datetime
import io
import itertools
import json
import math
import re
import sqlite3
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

PATH = Path(__file__).resolve().parents[1] / "seed_tasks.jsonl"
TASKS: list[dict[str, Any]] = [
    json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()
]
BY_NAME: dict[str, dict[str, Any]] = {task["name"]: task for task in TASKS}
INSTRUCTIONS: list[str] = [task["instruction"] for task in TASKS]

# Words for things that a text model cannot see or make.
NOT_TEXT = re.compile(
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plots?|go to|https?|websites?)\b",
    re.IGNORECASE,
)


# --- The collection as a whole ---------------------------------------------------------------


def test_the_bytes_are_plain_jsonl() -> None:
    """Check that each line is UTF-8 JSON without escapes and ends with a line feed."""
    expected = "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in TASKS)
    assert PATH.read_bytes() == expected.encode("utf-8")


def test_there_are_175_tasks_in_order() -> None:
    """Check that the ids are seed_task_0 to seed_task_174, in order."""
    assert [task["id"] for task in TASKS] == [f"seed_task_{number}" for number in range(175)]


def test_schema() -> None:
    """Check that tasks have the published keys with the right types, and that texts are clean."""
    for task in TASKS:
        assert list(task) == ["id", "name", "instruction", "instances", "is_classification"]
        assert re.fullmatch(r"[a-z][a-z0-9_]*", task["name"])
        assert type(task["is_classification"]) is bool
        assert isinstance(task["instances"], list)
        assert task["instances"]
        for instance in task["instances"]:
            assert list(instance) == ["input", "output"]
            assert all(type(text) is str and text == text.strip() for text in instance.values())
            assert instance["output"]
            assert instance["output"] != instance["input"]


def test_names_are_unique() -> None:
    """Check that no two tasks share a name."""
    assert len(BY_NAME) == len(TASKS)


def test_instruction_is_well_formed() -> None:
    """Check that instructions are capitalised, suit a text model, and do not contain their input."""
    for task in TASKS:
        instruction = task["instruction"]
        assert type(instruction) is str
        assert instruction == instruction.strip()
        assert instruction[0].isupper()
        assert instruction.endswith((".", "?"))
        assert 5 <= len(instruction.split()) <= 65
        assert NOT_TEXT.search(instruction) is None
        assert not instruction.lower().startswith("write a program")
        assert not any(i["input"] and i["input"] in instruction for i in task["instances"])


def test_no_placeholders() -> None:
    """Check that no text contains a placeholder for an input or a name."""
    stand_in = re.compile(
        r"<\s*no\s*(?:input|output)|\bN/A\b|\[(?:your|name|date)\b", re.IGNORECASE
    )
    for task in TASKS:
        for instance in task["instances"]:
            assert stand_in.search(instance["input"]) is None
            assert stand_in.search(instance["output"]) is None


def test_instances_belong_together() -> None:
    """Check that a task's inputs differ from each other, and that a task without input has one instance."""
    for task in TASKS:
        inputs = [instance["input"] for instance in task["instances"]]
        assert len(set(inputs)) == len(inputs)
        assert "" not in inputs or len(inputs) == 1


def test_enough_classification_tasks() -> None:
    """Check that there are at least 26 classification tasks, as in the published seed tasks."""
    assert sum(task["is_classification"] for task in TASKS) >= 26


def test_enough_tasks_with_input() -> None:
    """Check that 110 to 130 tasks have an input."""
    assert 110 <= sum(bool(task["instances"][0]["input"]) for task in TASKS) <= 130


def test_enough_questions() -> None:
    """Check that at least 30 instructions are questions."""
    assert sum(instruction.endswith("?") for instruction in INSTRUCTIONS) >= 30


def test_openings_vary() -> None:
    """Check that no word begins more than 12 instructions."""
    openings = Counter(re.findall(r"\w+", text)[0].lower() for text in INSTRUCTIONS)
    assert openings.most_common(1)[0][1] <= 12


def test_no_two_instructions_are_alike() -> None:
    """Check that no two instructions have a ROUGE-L F-measure over 0.5."""
    scorer = RougeScorer(["rougeL"])
    tokenizer = DefaultTokenizer(use_stemmer=False)
    counts = [Counter(tokenizer.tokenize(text)) for text in INSTRUCTIONS]
    alike = []
    for one, two in itertools.combinations(range(len(TASKS)), 2):
        # A common subsequence is never longer than the number of common words, repetitions included.
        common = (counts[one] & counts[two]).total()
        if 2 * common <= 0.5 * (counts[one].total() + counts[two].total()):
            continue
        score = scorer.score(INSTRUCTIONS[one], INSTRUCTIONS[two])["rougeL"].fmeasure
        if score > 0.5:
            alike.append((TASKS[one]["name"], TASKS[two]["name"], score))
    assert alike == []


def test_labels_are_offered() -> None:
    """Check that each class label occurs in the instruction or in the input."""
    for task in TASKS:
        for instance in task["instances"] if task["is_classification"] else []:
            label = re.escape(instance["output"])
            offered = re.search(rf"(?<!\w){label}(?!\w)", task["instruction"], re.IGNORECASE)
            option = re.search(rf"^{label}\) ", instance["input"], re.MULTILINE)
            assert offered or option, task["name"]


# --- Answers that can be computed ------------------------------------------------------------

Check = Callable[[str, str], None]


def _equals(compute: Callable[[str], str]) -> Check:
    """Return a check that the answer equals the result of a function that is called with the input."""

    def check(given: str, answer: str) -> None:
        assert answer == compute(given)

    return check


def _says(*parts: str) -> Check:
    """Return a check that the answer contains each part that is computed from the input."""

    def check(given: str, answer: str) -> None:
        assert given == ""
        for part in parts:
            assert part in answer

    return check


def _words(fewest: int, most: int) -> Check:
    """Return a check that the answer has an allowed number of words."""

    def check(_given: str, answer: str) -> None:
        assert fewest <= len(answer.split()) <= most

    return check


def _sentences(text: str) -> int:
    """Return the number of sentence ends in a text that are followed by a space or the end of the text."""
    return len(re.findall(r"[.!?][\"']?(?=\s|$)", text))


def _numbers(text: str) -> list[Fraction]:
    """Return the numbers in a text, as exact values."""
    return [Fraction(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def _rows(text: str) -> list[list[str]]:
    """Return the body cells of the first Markdown table in a text."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _run(*sources: str) -> dict[str, Any]:
    """Execute Python sources one after another, and return the names that they define."""
    names: dict[str, Any] = {}
    for source in sources:
        exec(source, names)
    return names


def _fenced(text: str) -> str:
    """Return the content of the only fenced block in a text."""
    (block,) = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return str(block)


def _minutes(clock: str) -> int:
    """Return the number of minutes from midnight to a time such as 8:05."""
    hours, minutes = clock.split(":")
    return 60 * int(hours) + int(minutes)


def _triangle(given: str) -> str:
    a, b, c = sorted(int(side) for side in given.split(", "))
    if a + b <= c:
        return "Impossible"
    return {1: "Equilateral", 2: "Isosceles", 3: "Scalene"}[len({a, b, c})]


def _primality(given: str) -> str:
    number = int(given)
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    if len(divisors) == 2:
        return "Prime"
    return "Composite" if len(divisors) > 2 else "Neither"


def _irrigation(given: str) -> str:
    match = re.fullmatch(r"Soil moisture: (\d+)%\nRain expected in 48 h: (\d+) mm", given)
    assert match
    return "Irrigate" if int(match[1]) < 22 and int(match[2]) < 5 else "Wait"


def _status_family(given: str) -> str:
    families = {"2": "Successful", "3": "Redirected", "4": "Client error", "5": "Server error"}
    return families[given.rsplit(maxsplit=1)[-1][0]]


def _metric(given: str) -> str:
    units = {"in": (2.54, "cm"), "lb": (0.4536, "kg"), "miles": (1.609, "km")}
    lines = []
    for line in given.splitlines():
        value, unit = line.split()
        if unit == "°F":
            lines.append(f"{(float(value) - 32) * 5 / 9:.1f} °C")
        else:
            factor, metric = units[unit]
            lines.append(f"{float(value) * factor:.1f} {metric}")
    return "\n".join(lines)


def _to_roman(number: int) -> str:
    table = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L")]
    table += [(40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
    numeral = ""
    for value, letters in table:
        count, number = divmod(number, value)
        numeral += count * letters
    return numeral


def _roman(given: str) -> str:
    if given.isdigit():
        return _to_roman(int(given))
    return str(next(n for n in range(1, 4000) if _to_roman(n) == given))


def _caesar(given: str) -> str:
    shift, message = given.split(": ")
    letters = "abcdefghijklmnopqrstuvwxyz"
    turned = letters[int(shift) :] + letters[: int(shift)]
    return message.translate(str.maketrans(turned, letters))


def _shelf_order(given: str) -> str:
    calls = (line.split() for line in given.splitlines())
    return "\n".join(" ".join(call) for call in sorted(calls, key=lambda c: (Fraction(c[0]), c[1])))


def _csv_to_markdown(given: str) -> str:
    header, *rows = csv.reader(io.StringIO(given))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", "|" + "---|" * len(header), *lines])


def _json_to_csv(given: str) -> str:
    records = json.loads(given)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().rstrip("\n")


def _printed(given: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        _run(given)
    return text.getvalue().rstrip("\n")


def _ten_servings(given: str) -> str:
    title, *lines = given.splitlines()
    scaled = [
        re.sub(r"^\d+", lambda amount: f"{int(amount[0]) * 10 / 4:,g}", line) for line in lines
    ]
    return "\n".join([title.replace("serves 4", "serves 10"), *scaled])


def _american(given: str) -> str:
    spellings = {
        "neighbour": "neighbor",
        "grey": "gray",
        "plough": "plow",
        "centre": "center",
        "licence": "license",
        "humour": "humor",
        "organised": "organized",
        "colour": "color",
    }
    for british, american in spellings.items():
        assert given.count(british) == 1
        given = given.replace(british, american)
    return given


def _check_lipogram(_given: str, answer: str) -> None:
    assert "e" not in answer.lower()
    assert _sentences(answer) == 3


def _check_haiku(_given: str, answer: str) -> None:
    syllables = {"bicycle": 3, "saddle": 2, "cushion": 2}
    lines = [re.findall(r"[a-z]+", line) for line in answer.lower().splitlines()]
    assert [sum(syllables.get(word, 1) for word in line) for line in lines] == [5, 7, 5]


def _check_acrostic(_given: str, answer: str) -> None:
    assert "".join(line[0] for line in answer.splitlines()) == "HARVEST"


def _check_dialogue(_given: str, answer: str) -> None:
    speakers = [line.split(":")[0] for line in answer.splitlines()]
    assert len(speakers) == 8
    assert len(set(speakers)) == 2
    assert not re.search(r"\b(?:sorry|my fault|i was wrong)\b", answer)


def _check_titles(_given: str, answer: str) -> None:
    titles = [line.split(". ")[1] for line in answer.splitlines()]
    assert len(set(titles)) == 6
    assert max(len(title.split()) for title in titles) <= 4


def _check_riddle(_given: str, answer: str) -> None:
    *riddle, last = answer.splitlines()
    assert len(riddle) == 4
    solution = last.removeprefix("Answer: a ")
    assert solution != last
    assert not re.search(rf"\b{solution}\b", "\n".join(riddle))


def _check_ice(_given: str, answer: str) -> None:
    assert _sentences(answer) <= 4


def _check_menu(_given: str, answer: str) -> None:
    ingredients = [row[3] for row in _rows(answer)]
    assert len(ingredients) == 5
    assert sum("lentil" in cell for cell in ingredients) <= 2
    assert sum("eggs" in cell for cell in ingredients) == 1


def _check_study_plan(_given: str, answer: str) -> None:
    rows = _rows(answer)
    assert [row[0] for row in rows] == [str(evening) for evening in range(1, 13)]
    first = {row[1]: int(row[0]) for row in rows if row[1] != "none"}
    assert len(first) == 6
    for topic, evening in first.items():
        assert any(topic in row[2] for row in rows if int(row[0]) > evening)


def _check_running_plan(_given: str, answer: str) -> None:
    rows = _rows(answer)
    assert [row[0] for row in rows] == [str(week) for week in range(1, 9)]
    totals = []
    for _, session, total in rows:
        repeats = re.match(r"(\d+) x ", session)
        runs = sum(int(run) for run in re.findall(r"(\d+) min run", session))
        totals.append(runs * (int(repeats[1]) if repeats else 1))
        assert total == f"{totals[-1]} min"
    assert totals == sorted(totals)
    assert totals[-1] == 30


def _check_packing(_given: str, answer: str) -> None:
    weights = _numbers(answer[answer.index("Rough weight") :])
    *parts, total = weights
    assert sum(parts) == total < 8


def _check_budget(_given: str, answer: str) -> None:
    amounts = {row[0]: int(row[1].replace(",", "")) for row in _rows(answer)}
    assert amounts["Rent"] == 850
    assert 10 * next(v for k, v in amounts.items() if k.startswith("Savings")) == 3000
    assert amounts.pop("Total") == sum(amounts.values()) == 2400


def _check_lesson(_given: str, answer: str) -> None:
    phases = [(int(a), int(b)) for a, b in re.findall(r"^(\d+)-(\d+) min", answer, re.MULTILINE)]
    assert phases[0][0] == 0
    assert phases[-1][1] == 40
    assert all(one[1] == two[0] for one, two in itertools.pairwise(phases))


def _check_longest_run(_given: str, answer: str) -> None:
    longest_run = _run(answer)["longest_run"]
    assert longest_run([]) == 0
    for size in range(1, 7):
        for values in itertools.product([None, 1, 2], repeat=size):
            runs = [len(list(group)) for _, group in itertools.groupby(values)]
            assert longest_run(list(values)) == max(runs)


def _check_clock_regex(_given: str, answer: str) -> None:
    pattern = re.compile(answer.splitlines()[0])
    digits = [f"{number:02}" for number in range(100)]
    accepted = {f"{h}:{m}" for h in digits for m in digits if pattern.fullmatch(f"{h}:{m}")}
    assert accepted == {f"{h:02}:{m:02}" for h in range(24) for m in range(60)}
    assert not any(pattern.search(text) for text in ["7:05", "107:05", "07:055", "07.05", "0705"])


def _check_pipeline(_given: str, answer: str) -> None:
    text = "The tide, the TIDE!\nA boat; a boat, a gull. 2 crabs\n\nSand and salt and the sea\n"
    pipeline = answer.splitlines()[0]
    run = subprocess.run(
        ["sh", "-c", pipeline],
        input=text,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        check=True,
    )
    counts = Counter(re.findall(r"[a-z]+", text.lower()))
    expected = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
    assert [line.split() for line in run.stdout.splitlines()] == [[str(n), w] for w, n in expected]


def _check_ean13(_given: str, answer: str) -> None:
    is_ean13 = _run(answer)["is_ean13"]
    valid = "4006381333931"
    assert [d for d in "0123456789" if is_ean13(valid[:-1] + d)] == ["1"]
    assert [d for d in "0123456789" if is_ean13("0" * 11 + "2" + d)] == ["4"]
    assert not any(
        is_ean13(text) for text in ["", valid[:-1], valid + "0", "40063813339 1", "x" * 13]
    )
    assert not is_ean13("٤٠٠٦٣٨١٣٣٣٩٣١")


def _same_colour() -> str:
    pairs = list(itertools.combinations("RRRRBBBBBB", 2))
    chance = Fraction(sum(one == two for one, two in pairs), len(pairs))
    return f"{chance}, about {float(chance):.3f}"


def _digit_sum_count() -> str:
    found = [n for n in range(100, 1000) if sum(int(digit) for digit in str(n)) == 5]
    return f"There are {len(found)} such numbers, from {found[0]} to {found[-1]}."


def _tank() -> tuple[str, ...]:
    litres = Fraction("1.2") * Fraction("0.8") * Fraction("0.5") * 1000
    cans, rest = divmod(litres, 9)
    return f"{litres} litres", f"about {litres} kg", f"{cans} full cans, with {rest} litres left"


def _three_remainders() -> str:
    number = next(n for n in itertools.count(1) if (n % 5, n % 7, n % 9) == (2, 3, 4))
    return f"Answer: {number}\n"


def _doubling() -> tuple[str, ...]:
    years = next(n for n in itertools.count() if Fraction(104, 100) ** n >= 2)
    exact = math.log(2) / math.log(1.04)
    powers = f"1.04^{years - 1} = {1.04 ** (years - 1):.3f}", f"1.04^{years} = {1.04**years:.3f}"
    return f"{years} full years", f"{exact:.2f}", *powers


def _check_compressed(_given: str, answer: str) -> None:
    assert len(answer.split()) <= 25
    for fact in ["east wing", "clock", "3 to 14 March", "roof", "alf price"]:
        assert fact in answer


def _check_no_adverbs(given: str, answer: str) -> None:
    assert len(re.findall(r"\b\w+ly\b", given)) == 5
    assert re.search(r"\b\w+ly\b", answer) is None


def _check_same_words(given: str, answer: str) -> None:
    assert re.findall(r"\w+", answer.lower()) == re.findall(r"\w+", given)


def _check_gaps(given: str, answer: str) -> None:
    pattern = re.sub(r"\\\(\d\\\)", r"\\w+", re.escape(given))
    assert pattern != re.escape(given)
    assert re.fullmatch(pattern, answer)


def _check_reviews(given: str, answer: str) -> None:
    reviews = given.lower().splitlines()
    terms = {
        "Quiet": r"\bquiet",
        "Light": r"\blight\b",
        "Handy": r"\bhandy",
        "Short battery life": r"\bbattery",
        "Dust container awkward to empty": r"\bdust\b",
    }
    listed = dict(re.findall(r"^- (.+) \((\d)\)$", answer, re.MULTILINE))
    assert listed == {
        point: str(sum(bool(re.search(term, review)) for review in reviews))
        for point, term in terms.items()
    }


def _check_invoice(given: str, answer: str) -> None:
    invoice = json.loads(answer)
    assert list(invoice) == ["number", "date", "supplier", "items", "total"]
    assert invoice["number"] in given
    assert invoice["supplier"] in given
    day = datetime.date.fromisoformat(invoice["date"])
    assert f"{day.day} {day:%B %Y}" in given
    lines = re.findall(r"^(\d+) (.+) at ([\d.]+)$", given, re.MULTILINE)
    assert [(str(i["quantity"]), i["description"]) for i in invoice["items"]] == [
        (quantity, description) for quantity, description, _ in lines
    ]
    assert [i["unit_price"] for i in invoice["items"]] == [float(price) for _, _, price in lines]
    assert sum(i["quantity"] * i["unit_price"] for i in invoice["items"]) == invoice["total"]


def _check_shopping_list(given: str, answer: str) -> None:
    totals: Counter[tuple[str, str]] = Counter()
    for line in given.splitlines():
        for part in line.split(": ")[1].split(", "):
            match = re.fullmatch(r"(\d+)( g| ml)? (.+)", part)
            assert match
            totals[match[3].removesuffix("s"), match[2] or ""] += int(match[1])
    listed = re.findall(r"^- (.+): (\d+)( g| ml)?$", answer, re.MULTILINE)
    assert {(name.lower().removesuffix("s"), unit): int(n) for name, n, unit in listed} == totals


def _check_measurements(given: str, answer: str) -> None:
    quantities = [line.split(": ")[1] for line in answer.splitlines()]
    places = [given.index(quantity) for quantity in quantities]
    assert places == sorted(places)
    measured = re.findall(r"[\d.]*\d(?: (?:g|mL|°C|min)\b)|(?<=was )[\d.]*\d", given)
    assert quantities == measured


def _check_log(given: str, answer: str) -> None:
    errors = [line.split() for line in given.splitlines() if " ERROR " in line]
    (code, count), (_, runner_up) = Counter(error[2] for error in errors).most_common(2)
    assert count > runner_up
    first = next(error[0] for error in errors if error[2] == code)
    assert answer.startswith(
        f"{code} (timeout) occurs most often: {count} times, first at {first}."
    )


def _check_moving_average(given: str, answer: str) -> None:
    broken = _run(given)["moving_average"]
    mended = _run(_fenced(answer))["moving_average"]
    for size in range(1, 6):
        for length in range(size, 8):
            values = [n * n for n in range(length)]
            expected = [sum(values[i : i + size]) / size for i in range(length - size + 1)]
            assert mended(values, size) == expected
            assert broken(values, size) == expected[:-1]
    assert mended([1, 2], 3) == []


def _query(schema: str, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(schema)
        return database.execute(query).fetchall()


def _check_borrowers(given: str, answer: str) -> None:
    assert _query(given, answer) == [("Cai", 3), ("Ada", 2)]
    more = given + "INSERT INTO loan VALUES (7, 4, 'Ice'), (8, 4, 'Fen'), (9, 2, 'Ash');"
    assert _query(more, answer) == [("Cai", 3), ("Dee", 3), ("Ada", 2)]


def _check_rooms(given: str, answer: str) -> None:
    assert _query(given, answer) == [(11,), (22,)]
    more = given + "INSERT INTO booking VALUES (5, 11, 'Ida'); INSERT INTO room VALUES (9, 1);"
    assert _query(more, answer) == [(9,), (22,)]


def _check_slugify_tests(given: str, answer: str) -> None:
    def passes(source: str) -> bool:
        names = _run(source, answer)
        for name in ("test_slugify", "test_slugify_rejects_blank_titles"):
            (mark,) = names[name].pytestmark
            for case in mark.args[1]:
                try:
                    names[name](*(case if isinstance(case, tuple) else (case,)))
                except (AssertionError, pytest.fail.Exception):
                    return False
        return True

    assert passes(given)
    for old, new in [('"-", title', '"_", title'), (".lower()", ""), ('.strip("-")', "")]:
        assert old in given
        assert not passes(given.replace(old, new))
    assert not passes(given.replace("raise ValueError", "return str"))


def _check_guard_clauses(given: str, answer: str) -> None:
    before, after = _run(given)["ticket_price"], _run(answer)["ticket_price"]
    for age, is_member in itertools.product(range(80), [True, False]):
        assert after(age, is_member) == before(age, is_member)
    for function in (before, after):
        with pytest.raises(ValueError, match="must not be negative"):
            function(-1, True)
    assert "else" not in answer


def _check_regex_examples(given: str, answer: str) -> None:
    hit = re.search(r"^Matches: (\S+)$", answer, re.MULTILINE)
    miss = re.search(r"^Does not match: (\S+),", answer, re.MULTILINE)
    assert hit
    assert miss
    assert re.fullmatch(given, hit[1])
    assert not re.fullmatch(given, miss[1])


def _check_type_hints(given: str, answer: str) -> None:
    (function,) = ast.parse(answer).body
    assert isinstance(function, ast.FunctionDef)
    assert function.returns
    assert all(argument.annotation for argument in function.args.args)
    docstring = ast.get_docstring(function)
    assert docstring
    assert "\n" not in docstring
    bare = re.sub(r'\n    """.*?"""|: (?:list|dict)\[.*?\]+(?=\)| =)| -> .*(?=:\n)', "", answer)
    assert ast.dump(ast.parse(bare)) == ast.dump(ast.parse(given))
    names = ["ada", "Bo", "Al"]
    assert _run(answer)["group_by_initial"](names) == {"A": ["ada", "Al"], "B": ["Bo"]}


def _check_form(_given: str, answer: str) -> None:
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    html = answer[: answer.index("</form>")]
    Parser().feed(html)
    found = dict(tags)
    assert found["label"]["for"] == found["input"]["id"]
    assert "required" in found["input"]
    assert found["button"]["type"] == "submit"
    assert "div" not in found
    assert len(re.findall(r"^\d\. ", answer, re.MULTILINE)) == 3


def _check_commit_message(_given: str, answer: str) -> None:
    subject, blank, body = answer.split("\n")
    assert len(subject) <= 50
    assert not subject.endswith(".")
    assert blank == ""
    assert _sentences(body) == 1


def _cron_field(field: str, lowest: int, highest: int) -> set[int]:
    """Return the values that a field in a cron line matches."""
    values: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{lowest}-{highest}" if span == "*" else span).partition("-")
        values.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return values


def _check_cron(given: str, answer: str) -> None:
    limits = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    fields = [
        _cron_field(field, *limit) for field, limit in zip(answer.split(), limits, strict=True)
    ]
    minutes, hours, month_days, months, week_days = fields
    year = [datetime.date(2023, 1, 1) + datetime.timedelta(days=n) for n in range(365)]
    days = {
        day
        for day in year
        if day.day in month_days and day.month in months and day.isoweekday() % 7 in week_days
    }
    every_quarter = set(itertools.product(range(24), (0, 15, 30, 45)))
    quarters = {datetime.date(2023, month, 1) for month in (1, 4, 7, 10)}
    expected = {
        "Every weekday at 6:30 in the morning": ({d for d in year if d.weekday() < 5}, {(6, 30)}),
        "Every quarter of an hour, day and night": (set(year), every_quarter),
        "At midnight on the first day of January, April, July and October": (quarters, {(0, 0)}),
    }
    assert (days, set(itertools.product(hours, minutes))) == expected[given]


def _check_pair_sum(given: str, answer: str) -> None:
    slow, fast = _run(given)["has_pair_with_sum"], _run(answer)["has_pair_with_sum"]
    for size in range(5):
        for numbers in itertools.product(range(-2, 4), repeat=size):
            for target in (-4, 0, 1, 6):
                assert fast(list(numbers), target) == slow(list(numbers), target)
    assert answer.count("for ") == 1


def _check_statistics(given: str, answer: str) -> None:
    numbers = [int(number) for number in given.split(", ")]
    lines = dict(line.split(": ", 1) for line in answer.splitlines())
    assert lines["Mean"].endswith(f"= {statistics.mean(numbers)}")
    assert lines["Median"].endswith(f"= {statistics.median(numbers):g}")
    assert ", ".join(map(str, sorted(numbers))) in lines["Median"]
    assert lines["Mode"] == str(statistics.mode(numbers))
    assert lines["Range"].endswith(f"= {max(numbers) - min(numbers)}")


def _value(expression: str, x: Fraction) -> Fraction:
    """Return the value of one side of an equation, which may have implied products such as 5(x - 3) or 2x."""
    source = re.sub(r"(?<=\d)\s*(?=[x(])", "*", expression.strip())
    return Fraction(eval(source, {"x": x}))


def _check_equation(given: str, answer: str) -> None:
    *steps, last = [given, *answer.splitlines()[:-1]]
    solution = re.fullmatch(r"x = (-?\d+)", last)
    assert solution
    for step in steps:
        left, right = step.split("=")
        assert _value(left, Fraction(solution[1])) == _value(right, Fraction(solution[1]))
        assert _value(left, Fraction(1000)) != _value(right, Fraction(1000))


def _check_flat(given: str, answer: str) -> None:
    rent, other = (_numbers(line)[0] for line in given.splitlines()[:2])
    rooms = {name: int(size) for name, size in re.findall(r"(\w+) (\d+) m²", given)}
    for name, size in rooms.items():
        share = rent * size / sum(rooms.values()) + other / len(rooms)
        assert re.search(rf"^{name}: .* = {share}$", answer, re.MULTILINE)


def _check_timesheet(given: str, answer: str) -> None:
    rate = _numbers(given.splitlines()[0])[0]
    worked = 0
    for start, end, pause in re.findall(r"(\d+:\d+)-(\d+:\d+), (?:break (\d+)|no break)", given):
        worked += _minutes(end) - _minutes(start) - int(pause or 0)
    hours = Fraction(worked, 60)
    regular, overtime = min(hours, Fraction(38)), max(hours - 38, Fraction(0))
    pay = regular * rate + overtime * rate * Fraction(3, 2)
    assert f"total {float(hours):.1f}" in answer
    assert answer.endswith(f"Gross pay: {float(pay):.2f}")


def _check_journal(given: str, answer: str) -> None:
    cost, paid = _numbers(given)
    entries = {
        row[0]: [int(cell.replace(",", "") or 0) for cell in row[1:]] for row in _rows(answer)
    }
    total = entries.pop("Total")
    assert [sum(column) for column in zip(*entries.values(), strict=True)] == total
    assert total[0] == total[1] == cost
    assert entries["Bank"] == [0, paid]
    assert entries["Loans payable"] == [0, cost - paid]


def _check_cartons(given: str, answer: str) -> None:
    numbers = [int(number) for number in _numbers(given)]
    length, width, height, mass, pallet_length, pallet_width, top, limit, cartons = numbers
    layer = max(
        (pallet_length // length) * (pallet_width // width),
        (pallet_length // width) * (pallet_width // length),
    )
    assert layer == pallet_length * pallet_width // (length * width)
    full = min(layer * (top // height), limit // mass)
    pallets = -(-cartons // full)
    assert f"= {full}\n" in answer
    assert f"{full} x {mass} = {full * mass} kg" in answer
    assert f"rounded up to {pallets}" in answer
    assert f"remaining {cartons - full * (pallets - 1)} cartons" in answer


def _check_critical_path(given: str, answer: str) -> None:
    pattern = r"^(\w) .+: (\d+) days(?:, after (.+))?$"
    tasks = {
        name: (int(days), re.findall(r"[A-Z]", after))
        for name, days, after in re.findall(pattern, given, re.MULTILINE)
    }
    finish: dict[str, int] = {}
    for name, (days, after) in tasks.items():
        finish[name] = days + max((finish[one] for one in after), default=0)
        assert f"{name} day {finish[name]}" in answer
    end = max(finish.values())
    latest = dict.fromkeys(tasks, end)
    for name, (days, after) in reversed(tasks.items()):
        for one in after:
            latest[one] = min(latest[one], latest[name] - days)
    slack = {name: latest[name] - finish[name] for name in tasks}
    assert f"Shortest duration: {end} days\n" in answer
    critical = " - ".join(name for name in tasks if slack[name] == 0)
    assert f"Critical path: {critical}\n" in answer
    assert {name: days for name, days in slack.items() if days} == {"C": 4, "F": 1}
    assert "C may slip by 4 days" in answer
    assert "F by 1 day" in answer


def _check_timetable(given: str, answer: str) -> None:
    stopping = {row[0]: row[2:] for row in _rows(given) if row[2] != "no stop"}
    walk = 12
    in_time = {
        train: times
        for train, times in stopping.items()
        if _minutes(times[1]) + walk <= _minutes("10:45")
    }
    best = max(in_time, key=lambda train: _minutes(in_time[train][0]))
    leaves, arrives = in_time[best]
    assert answer.startswith(f"Take {best}, which leaves Marl Junction at {leaves} and reaches")
    assert f"Torsby at {arrives}" in answer


def _check_common_hour(given: str, answer: str) -> None:
    busy = [(_minutes(a), _minutes(b)) for a, b in re.findall(r"(\d+:\d+)-(\d+:\d+)", given)]
    start = next(
        minute
        for minute in range(_minutes("9:00"), _minutes("16:00") + 1)
        if all(end <= minute or minute + 60 <= begin for begin, end in busy)
    )
    assert answer.startswith(f"{start // 60}:{start % 60:02}-{start // 60 + 1}:{start % 60:02}.")


def _check_seats(_given: str, answer: str) -> None:
    solutions = []
    for row in itertools.permutations(["Nora", "Omar", "Pia", "Quin", "Rui"]):
        seat = {name: number for number, name in enumerate(row, start=1)}
        clues = [
            abs(seat["Nora"] - seat["Omar"]) == 1,
            seat["Pia"] in (1, 5),
            seat["Rui"] == 3,
            seat["Quin"] - seat["Omar"] == 2,
        ]
        if all(clues):
            solutions.append(", ".join(row))
    assert solutions == [answer.splitlines()[0]]


def _check_cake(_given: str, answer: str) -> None:
    suspects = []
    for eater in ("Aiko", "Ben", "Cleo", "Dita"):
        statements = [
            eater in ("Ben", "Cleo"),
            eater == "Dita",
            eater not in ("Ben", "Cleo"),
            eater in ("Aiko", "Dita"),
        ]
        if sum(statements) == 3:
            suspects.append(eater)
    assert answer.startswith(f"{' or '.join(suspects)} ate the cake.")


def _check_press_release(given: str, answer: str) -> None:
    asked, glass, share, batteries, other, rest, before, rise, points, tonnes, mean = _numbers(
        given
    )
    wrong = {}
    for name, stated, right in [
        ("share", share, 100 * glass / asked),
        ("other", other, 100 * batteries / asked),
        ("rest", rest, asked - glass),
        ("rise", rise, 100 * (glass - before) / before),
        ("mean", mean, 1000 * tonnes / points),
    ]:
        if stated != right:
            wrong[name] = (int(stated), int(right))
    assert list(wrong) == ["rest", "mean"]
    corrections = re.findall(r"^- \D*(\d+)[^:]*: should be (\d+)", answer, re.MULTILINE)
    assert [(int(stated), int(right)) for stated, right in corrections] == list(wrong.values())


def _check_tyre(given: str, answer: str) -> None:
    order = answer.split(", ")
    assert sorted(order) == re.findall(r"^(\w)\.", given, re.MULTILINE)
    # Park, loosen, jack up, take off, put on, lower, tighten: each step requires the previous one.
    stages = ["Park", "Loosen", "Jack up", "Unscrew", "Mount", "Lower", "Tighten"]
    letters = {line[3:]: line[0] for line in given.splitlines()}
    assert order == [
        next(letter for text, letter in letters.items() if text.startswith(stage))
        for stage in stages
    ]


def _check_flashcards(_given: str, answer: str) -> None:
    cards = answer.split("\n\n")
    assert len(cards) == 4
    assert all(re.fullmatch(r"Q: .+\?\nA: .+\.", card) for card in cards)


def _check_two_sentences(_given: str, answer: str) -> None:
    assert _sentences(answer) == 2


def _check_hint(given: str, answer: str) -> None:
    one, two = (Fraction(text) for text in re.findall(r"\d/\d", given)[:2])
    assert answer.count("?") == 1
    assert answer.endswith("?")
    assert str(one + two) not in answer
    claimed = Fraction(re.findall(r"\d/\d", given)[2])
    assert claimed < one  # so a comparison of the two reveals the mistake


def _check_four_questions(_given: str, answer: str) -> None:
    assert re.findall(r"^(\d)\. .+\?$", answer, re.MULTILINE) == ["1", "2", "3", "4"]


CHECKS: dict[str, Check] = {
    "triangle_from_sides": _equals(_triangle),
    "prime_composite_neither": _equals(_primality),
    "irrigation_decision": _equals(_irrigation),
    "http_status_family": _equals(_status_family),
    "imperial_to_metric": _equals(_metric),
    "roman_numerals_both_ways": _equals(_roman),
    "decode_caesar_shift": _equals(_caesar),
    "call_numbers_in_shelf_order": _equals(_shelf_order),
    "csv_to_markdown_table": _equals(_csv_to_markdown),
    "json_to_csv": _equals(_json_to_csv),
    "predict_python_output": _equals(_printed),
    "scale_recipe_to_ten": _equals(_ten_servings),
    "british_to_american_spelling": _equals(_american),
    "lighthouse_story_50_words": _words(50, 50),
    "bakery_oven_monologue": _words(60, 120),
    "vacuum_cleaner_bedtime_story": _words(100, 179),
    "enamel_mug_product_copy": _words(30, 59),
    "water_shutoff_notice": _words(60, 119),
    "insurance_clause_for_teenager": _words(20, 60),
    "headline_eight_words": _words(3, 8),
    "abstract_for_newspaper_readers": _words(72, 88),
    "reply_to_guest_complaint": _words(40, 89),
    "thunderstorm_without_e": _check_lipogram,
    "haiku_bicycle_snow": _check_haiku,
    "harvest_acrostic": _check_acrostic,
    "hedge_dialogue": _check_dialogue,
    "podcast_titles": _check_titles,
    "zip_riddle": _check_riddle,
    "why_ice_floats": _check_ice,
    "vegetarian_dinner_menu": _check_menu,
    "statistics_study_plan": _check_study_plan,
    "walk_to_run_plan": _check_running_plan,
    "hut_walk_packing_list": _check_packing,
    "monthly_savings_budget": _check_budget,
    "fractions_lesson_plan": _check_lesson,
    "python_longest_run": _check_longest_run,
    "regex_24_hour_time": _check_clock_regex,
    "shell_top_five_words": _check_pipeline,
    "python_ean13_check": _check_ean13,
    "same_colour_probability": _says(_same_colour()),
    "digit_sum_five_count": _says(_digit_sum_count()),
    "rainwater_tank_volume": _says(*_tank()),
    "three_remainders": _says(_three_remainders()),
    "years_to_double_savings": _says(*_doubling()),
    "compress_to_25_words": _check_compressed,
    "cut_ly_adverbs": _check_no_adverbs,
    "restore_punctuation": _check_same_words,
    "missing_prepositions": _check_gaps,
    "reviews_to_pros_and_cons": _check_reviews,
    "invoice_to_json": _check_invoice,
    "shopping_list_from_recipes": _check_shopping_list,
    "lab_note_measurements": _check_measurements,
    "most_frequent_log_error": _check_log,
    "debug_moving_average": _check_moving_average,
    "sql_top_borrowers": _check_borrowers,
    "sql_rooms_never_booked": _check_rooms,
    "pytest_cases_for_slugify": _check_slugify_tests,
    "guard_clauses_refactor": _check_guard_clauses,
    "regex_in_words": _check_regex_examples,
    "type_hints_and_docstring": _check_type_hints,
    "accessible_html_form": _check_form,
    "commit_message_from_diff": _check_commit_message,
    "cron_schedules": _check_cron,
    "quadratic_to_linear": _check_pair_sum,
    "descriptive_statistics": _check_statistics,
    "solve_linear_equation": _check_equation,
    "divide_flat_costs": _check_flat,
    "timesheet_gross_pay": _check_timesheet,
    "van_purchase_journal_entry": _check_journal,
    "cartons_on_pallets": _check_cartons,
    "workshop_critical_path": _check_critical_path,
    "timetable_latest_train": _check_timetable,
    "earliest_common_hour": _check_common_hour,
    "five_seats_puzzle": _check_seats,
    "who_ate_the_cake": _check_cake,
    "check_press_release_numbers": _check_press_release,
    "jumbled_tyre_change": _check_tyre,
    "flashcards_from_passage": _check_flashcards,
    "story_turn_in_two_sentences": _check_two_sentences,
    "tutor_hint_without_solution": _check_hint,
    "reporter_follow_up_questions": _check_four_questions,
}


@pytest.mark.parametrize("name", CHECKS)
def test_computable_answer(name: str) -> None:
    """Compare an answer with the result of a computation."""
    for instance in BY_NAME[name]["instances"]:
        CHECKS[name](instance["input"], instance["output"])
