"""Test loading, checking and rendering templates."""

from pathlib import Path

import pytest

from selfinstruct.config.schema import RunConfig
from selfinstruct.config.shipped_files import resource
from selfinstruct.errors import InputError
from selfinstruct.pipeline.prompts import Template, folder, load_template, load_templates, render
from selfinstruct.pipeline.recipes import RECIPES


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
def test_a_broken_template_is_refused_when_loaded(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load(tmp_path, text)


def test_a_missing_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r": lacks generate.txt, classify.txt, .*; start from a copy of [^()]*self-instruct$",
    ):
        load_templates(RunConfig(model="m"), tmp_path)


def test_a_template_in_an_instruction_is_text() -> None:
    template = own(RunConfig(model="m"))["classify.txt"]
    values = {"instruction": "Explain {{ 7 * 7 }} and <b>{% raw %}</b>."}
    prompt = render(template, values, to_continue=False)
    assert "Task: Explain {{ 7 * 7 }} and <b>{% raw %}</b>.\n" in prompt.messages[0].content


def test_a_generation_prompt_ends_with_its_demonstrations() -> None:
    template = own(RunConfig(model="m"))["generate.txt"]
    content = render(template, LIST, to_continue=False).messages[0].content
    assert "tasks 3 to 10" in content
    assert content.endswith("\n\n1. Name a river.\n2. Sum up.\n   Input: A long text.")


def test_a_base_model_prompt_ends_at_the_continuation() -> None:
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
def test_an_alpaca_prompt_ends_with_the_next_marker(api: str) -> None:
    config = RunConfig(model="m", recipe="alpaca", api=api)
    prompt = render(own(config)["generate.txt"], LIST, to_continue=api == "completions")
    text = prompt.text or prompt.messages[0].content
    assert "1. Instruction: Name a river.\n1. Input:\n<noinput>\n1. Output:\nThe Elbe\n###" in text
    assert "2. Input:\nA long text.\n2. Output:\nA sum.\n###\n3. Instruction:" in text
    assert text.endswith("###\n3. Instruction:")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("classification", [True, False])
def test_each_kind_of_run_has_templates(recipe: str, api: str, classification: bool) -> None:
    config = RunConfig(model="m", recipe=recipe, api=api, classification_seeds_only=classification)
    templates = own(config)
    shown = next(iter(templates.values()))
    assert ("generate_classification.txt" in shown.name) == classification
    asks = any(stage.name == "classify" for stage in RECIPES[recipe].stages)
    assert ("classify_again.txt" in templates) == asks


def test_a_template_name_depends_on_its_text(tmp_path: Path) -> None:
    texts = ("Task: {{ instruction }}", "Task is: {{ instruction }}")
    names = {load(tmp_path, text).name for text in texts}
    assert len(names) == 2
    assert all(name.startswith("mine/classify.txt@") for name in names)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"nothere: does not exist; choose a directory of"):
        load_templates(RunConfig(model="m"), tmp_path / "nothere")
    with pytest.raises(InputError, match=r"file: is not a directory; choose a directory of"):
        load_templates(RunConfig(model="m"), tmp_path / "file")


def test_a_byte_order_mark_reaches_no_prompt(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffTask: {{ instruction }}").text == "Task: {{ instruction }}"


@pytest.mark.parametrize("name", ["generate.txt", "generate_classification.txt"])
def test_a_single_task_is_in_the_singular(name: str) -> None:
    config = RunConfig(model="m", classification_seeds_only="_" in name)
    template = own(config)[name]
    one = LIST | {"demonstrations": [{"instruction": "Name a river.", "input": "", "output": ""}]}
    assert "list below has 1 task. " in template.compiled.render(one)
    assert "list below has 2 tasks. " in template.compiled.render(LIST)


ITEMS = "{% for d in demonstrations -%}\n{{ loop.index }}. {{ d.instruction }}\n{% endfor -%}\n"
CHAT, BASE = RunConfig(model="m"), RunConfig(model="m", api="completions")
ALPACA = RunConfig(model="m", recipe="alpaca")
ALPACA_BASE = RunConfig(model="m", recipe="alpaca", api="completions")


@pytest.mark.parametrize(
    ("config", "text", "problem"),
    [
        (ALPACA, ITEMS, 'shows no blocks with "###" and "Instruction:"'),
        (
            ALPACA_BASE,
            "###\n" + ITEMS + "Instruction: go on",
            r"must end in .*Instruction:\" and not",
        ),
        (
            CHAT,
            "{% for d in demonstrations %}- {{ d.instruction }}\n{% endfor %}",
            "numbered lines",
        ),
        (CHAT, "###\nInstruction:\n" + ITEMS, "numbered lines"),
        (CHAT, ITEMS + "{{ first_number }}.", "ends in the next task's number"),
        (CHAT, ITEMS + "{{ first_number }}. ", "ends in the next task's number"),
        (BASE, ITEMS, r'must end in "{{ first_number }}\." and nothing after it'),
        (BASE, ITEMS + "{{ first_number }}. ", "must end in"),
        (BASE, ITEMS + '{{ first_number }}.{{ "\\n" }}', "must end in"),
        (CHAT, ITEMS, ""),
        (CHAT, "### List\nInstruction: go on\n" + ITEMS, ""),
        (CHAT, ITEMS.replace("{{ loop", "**Task {{ loop").replace("}}. ", "}}:** "), ""),
        (BASE, ITEMS + "{{ first_number }}.\n", ""),
    ],
)
def test_templates_for_another_recipe_are_refused(
    tmp_path: Path, config: RunConfig, text: str, problem: str
) -> None:
    for name, template in own(config).items():
        (tmp_path / name).write_text(template.text)
    (tmp_path / "generate.txt").write_text(text)
    if problem:
        with pytest.raises(InputError, match=problem):
            load_templates(config, tmp_path)
    else:
        load_templates(config, tmp_path)


@pytest.mark.parametrize(
    ("config", "other"), [(ALPACA, CHAT), (ALPACA, BASE), (BASE, CHAT), (CHAT, BASE)]
)
def test_each_folder_fits_only_its_recipe(config: RunConfig, other: RunConfig) -> None:
    with pytest.raises(InputError, match=r"generate\.txt: [^;]*; start from a copy of [^()]*$"):
        load_templates(config, resource("prompts") / folder(other))
