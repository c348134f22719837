"""Templates: checked when they are loaded, filled without surprises."""

from pathlib import Path

import pytest

from selfinstruct.config import RunConfig
from selfinstruct.errors import InputError
from selfinstruct.prompts import Template, load_template, render
from selfinstruct.recipes import folder, load_templates
from selfinstruct.resources import resource


def load(tmp_path: Path, text: str) -> Template:
    path = tmp_path / "classify.txt"
    path.write_text(text, encoding="utf-8")
    sample = {"instruction": "Name a river."}
    return load_template(path, folder="mine", required="instruction", sample=sample)


LIST = {
    "demonstrations": [
        {"instruction": "Name a river.", "input": "", "output": "The Elbe"},
        {"instruction": "Sum up.", "input": "A long text.", "output": "A sum."},
    ],
    "first_number": 3,
    "last_number": 10,
}


def own(config: RunConfig) -> dict[str, Template]:
    return load_templates(config, resource("prompts") / folder(config))


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
    with pytest.raises(
        InputError, match=r"has no generate.txt and no classify.txt and .* holds generate.txt, cla"
    ):
        load_templates(RunConfig(model="m"), tmp_path)


def test_an_instruction_that_looks_like_a_template_is_text() -> None:
    template = own(RunConfig(model="m"))["classify.txt"]
    values = {"instruction": "Explain {{ 7 * 7 }} and <b>{% raw %}</b>."}
    prompt = render(template, values, to_continue=False)
    assert "Task: Explain {{ 7 * 7 }} and <b>{% raw %}</b>.\n" in prompt.messages[0].content


def test_a_generation_prompt_shows_its_demonstrations_in_order_and_ends_with_them() -> None:
    template = own(RunConfig(model="m"))["generate.txt"]
    content = render(template, LIST, to_continue=False).messages[0].content
    assert "tasks 3 to 10" in content
    assert content.endswith("\n\n1. Name a river.\n2. Sum up.\n   Input: A long text.")


def test_a_prompt_for_a_base_model_ends_where_the_model_is_to_go_on() -> None:
    config = RunConfig(model="m", api="completions")
    templates = own(config)
    task = {"instruction": "Name a river.", "max_instances": 5}
    ends = {
        name: render(template, LIST if name == "generate.txt" else task, to_continue=True).text
        for name, template in templates.items()
    }
    assert (ends["generate.txt"] or "").endswith("\n2. Sum up.\n   Input: A long text.\n3.")
    assert (ends["classify.txt"] or "").endswith("\nTask: Name a river.\nIs it classification?")
    for name in ("instances_input_first.txt", "instances_output_first.txt"):
        assert (ends[name] or "").endswith("\n\nTask: Name a river.\n")


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_an_alpaca_prompt_shows_whole_tasks_and_ends_with_the_next_marker(api: str) -> None:
    config = RunConfig(model="m", recipe="alpaca", api=api)
    prompt = render(own(config)["generate.txt"], LIST, to_continue=api == "completions")
    text = prompt.text or prompt.messages[0].content
    assert "1. Instruction: Name a river.\n1. Input:\n<noinput>\n1. Output:\nThe Elbe\n###" in text
    assert "2. Input:\nA long text.\n2. Output:\nA sum.\n###\n3. Instruction:" in text
    assert text.endswith("###\n3. Instruction:")


@pytest.mark.parametrize("recipe", ["self-instruct", "alpaca"])
@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("classification", [True, False])
def test_every_way_to_run_has_its_templates(recipe: str, api: str, classification: bool) -> None:
    config = RunConfig(model="m", recipe=recipe, api=api, classification_seeds_only=classification)
    templates = own(config)
    shown = next(iter(templates.values()))
    assert ("generate_classification.txt" in shown.name) == classification
    assert ("classify_again.txt" in templates) == (recipe == "self-instruct")


def test_the_name_of_a_template_changes_with_its_text(tmp_path: Path) -> None:
    texts = ("Task: {{ instruction }}", "Task is: {{ instruction }}")
    names = {load(tmp_path, text).name for text in texts}
    assert len(names) == 2
    assert all(name.startswith("mine/classify.txt@") for name in names)
