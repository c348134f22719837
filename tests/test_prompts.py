"""Templates: checked when they are loaded, filled without surprises."""

from pathlib import Path

import pytest

from selfinstruct.errors import InputError
from selfinstruct.prompts import load_template, render
from selfinstruct.recipes import SELF_INSTRUCT, load_templates
from selfinstruct.resources import resource

HOLES = frozenset({"instruction"})


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "classify.txt"
    path.write_text(text, encoding="utf-8")
    return load_template(path, recipe="mine", holes=HOLES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "Task: {{ instrution }}",
            r"classify.txt: has a hole that nothing fills: instrution \(there are: instr",
        ),
        ("one\n{% if %}", r"classify.txt:2: is no template"),
        ("Task: {{ instruction", r"classify.txt:1: is no template"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_on_loading(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        load(tmp_path, text)


def test_a_missing_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"generate.txt: cannot be read"):
        load_templates(SELF_INSTRUCT, tmp_path)


def test_what_a_template_says_of_python_objects_stays_in_the_sandbox(tmp_path: Path) -> None:
    from jinja2.exceptions import SecurityError

    path = tmp_path / "classify.txt"
    path.write_text("{{ instruction.__class__.__mro__ }}")
    template = load_template(path, recipe="mine", holes=HOLES)
    with pytest.raises(SecurityError):
        render(template, {"instruction": "x"})


def test_an_instruction_that_looks_like_a_template_is_text() -> None:
    template = load_templates(SELF_INSTRUCT, resource("prompts") / "self-instruct")["classify.txt"]
    prompt = render(template, {"instruction": "Explain {{ 7 * 7 }} and <b>{% raw %}</b>."})
    assert "Task: Explain {{ 7 * 7 }} and <b>{% raw %}</b>.\n" in prompt.messages[0].content


def test_a_generation_prompt_shows_its_demonstrations_in_order_and_ends_with_them() -> None:
    template = load_templates(SELF_INSTRUCT, resource("prompts") / "self-instruct")["generate.txt"]
    values = {"demonstrations": ["Name a river.", "Sum up."], "first_number": 3, "last_number": 10}
    content = render(template, values).messages[0].content
    assert "tasks 3 to 10" in content
    assert content.endswith("\n\n1. Name a river.\n2. Sum up.")


def test_the_name_of_a_template_changes_with_its_text(tmp_path: Path) -> None:
    names = set()
    for text in ("Task: {{ instruction }}", "Task is: {{ instruction }}"):
        path = tmp_path / "classify.txt"
        path.write_text(text)
        names.add(load_template(path, recipe="mine", holes=HOLES).name)
    assert len(names) == 2
    assert all(name.startswith("mine/classify.txt@") for name in names)
