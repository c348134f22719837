"""Templates: checked when they are loaded, filled without surprises."""

from pathlib import Path

import pytest

from selfinstruct.errors import InputError
from selfinstruct.prompts import Template, load_template, render
from selfinstruct.recipes import SELF_INSTRUCT, load_templates
from selfinstruct.resources import resource


def load(tmp_path: Path, text: str) -> Template:
    path = tmp_path / "classify.txt"
    path.write_text(text, encoding="utf-8")
    sample = {"instruction": "Name a river."}
    return load_template(path, recipe="mine", required="instruction", sample=sample)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "Task: {{ instrution }}",
            r"classify.txt: uses an unknown value: instrution \(known: instr",
        ),
        ("one\n{% if %}", r"classify.txt:2: is not a valid template"),
        ("Task: {{ instruction", r"classify.txt:1: is not a valid template"),
        ("{% frobnicate instruction %}", r"classify.txt:1: is not a valid template"),
        ("{{ instruction | nofilter }}", r"classify.txt:1: is not a valid template"),
        ("", r"classify.txt: does not use 'instruction'"),
        ("Is it a classification task?", r"classify.txt: does not use 'instruction'"),
        ("{{ instruction.foo }}", r"classify.txt: cannot be rendered"),
        ("{{ instruction }}{{ 1 / 0 }}", r"classify.txt: cannot be rendered: division by zero"),
        ("{{ instruction.__class__.__mro__ }}", r"classify.txt: cannot be rendered: .*unsafe"),
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
    texts = ("Task: {{ instruction }}", "Task is: {{ instruction }}")
    names = {load(tmp_path, text).name for text in texts}
    assert len(names) == 2
    assert all(name.startswith("mine/classify.txt@") for name in names)
