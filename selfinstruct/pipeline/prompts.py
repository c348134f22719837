r"""Load the templates of a run, in Jinja2, and render prompts.

Templates may come from untrusted sources, so they run in Jinja2's sandbox. When a template is loaded, it is
rendered once with example values, so that an error in it is found before the first request.

    prompts/self-instruct/classify.txt    "… Task: {{ instruction }}\nIs it a classification task?"
    render(template, instruction="Name a fruit.")
    → Prompt(template="self-instruct/classify.txt@6d1c5a0be0c4", messages=(user: "… Name a fruit.…",))
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.config.schema import RunConfig
from selfinstruct.config.shipped_files import resource
from selfinstruct.errors import InputError
from selfinstruct.files import Opener, because, open_regular
from selfinstruct.pipeline.languages import ENGLISH
from selfinstruct.pipeline.recipes import RECIPES, recipe_of
from selfinstruct.records import Message, Prompt

_MAX_CHARACTERS = 1_000_000
"""Maximum length of a template, and of the prompt that it renders with the example values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A compiled template."""

    name: str
    """Name of the template: `<template folder>/<file>@<first 12 hex digits of the SHA-256>`."""
    text: str
    sha256: str
    compiled: Any = field(repr=False, compare=False)


def load_template(path: Path, *, folder: str, required: str, sample: Mapping[str, Any]) -> Template:
    """Read and check one template. `folder` becomes part of the template's name.

    `sample` has an example of each value that the template may use. The template must use the value
    `required`. Raises InputError if the file is unreadable, its syntax is invalid, it uses an unknown value,
    it does not use the required value, or it cannot be rendered with the example values.
    """
    # Editors on Windows may add a byte order mark, which must not reach a prompt.
    template, used = read_template(path, folder=folder, encoding="utf-8-sig")
    known = ", ".join(sorted(sample))
    if unknown := sorted(used - sample.keys()):
        problem = f"uses an unknown value: {', '.join(unknown)} (known: {known})"
        raise InputError(path, f"{problem}; use one of these")
    if required not in used:
        problem = f"does not use {required!r}, so every prompt would be the same"
        raise InputError(path, f"{problem}; insert {{{{ {required} }}}} where the value belongs")
    try:
        length = 0
        for part in template.compiled.generate(sample):
            length += len(part)
            if length > _MAX_CHARACTERS:
                raise OverflowError(f"a prompt of more than {_MAX_CHARACTERS:,} characters")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001 - a template can raise anything
        raise InputError(path, f"cannot be rendered: {error}; fix the template") from None
    return template


def read_template(
    path: Path, *, folder: str, encoding: str = "utf-8", opener: Opener | None = None
) -> tuple[Template, set[str]]:
    """Read a template without checking it; return it with the names of the values that it uses.

    Raises InputError if the file is unreadable or its syntax is invalid.
    """
    from jinja2 import StrictUndefined, TemplateSyntaxError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """A sandbox that refuses operations that take too much memory or time, such as `"x" * 10 ** 10`."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            text, times = (left, right) if hasattr(left, "__len__") else (right, left)
            is_text = hasattr(text, "__len__") and isinstance(times, int)
            if operator == "**" or (is_text and len(text) * times > _MAX_CHARACTERS):
                raise OverflowError(f"the result of {operator} would be too large")
            return super().call_binop(context, operator, left, right)

    # Prompts are plain text, so HTML must not be escaped.
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    try:
        with open(path, encoding=encoding, opener=opener) as file:
            text = file.read(_MAX_CHARACTERS + 1)
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8 text; save it as UTF-8") from None
    if len(text) > _MAX_CHARACTERS:
        problem = f"is longer than {_MAX_CHARACTERS:,} characters, which is too long for a template"
        raise InputError(path, f"{problem}; choose another file")
    try:
        tree = environment.parse(text)
        used = meta.find_undeclared_variables(tree)
        compiled = environment.from_string(tree)
    except TemplateSyntaxError as error:
        message = (error.message or "unknown syntax error").rstrip(".")
        remedy = "write values in {{ }} and commands in {% %}"
        problem = f"is not a valid template: {message}; {remedy}"
        raise InputError(path, problem, line=error.lineno) from None
    except RecursionError:
        raise InputError(path, "is nested too deeply; fix the template") from None
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    name = f"{folder}/{path.name}@{sha256[:12]}"
    return Template(name=name, text=text, sha256=sha256, compiled=compiled), used


def render(
    template: Template,
    values: Mapping[str, Any],
    *,
    to_continue: bool,
    demonstration_ids: tuple[str, ...] = (),
) -> Prompt:
    """Render a template as one user message for a chat model, or as a text `to_continue` for a base model.

    A text for a base model keeps its trailing white space, because the model continues exactly after it.
    """
    content = template.compiled.render(values)
    messages = () if to_continue else (Message(role="user", content=content.strip()),)
    return Prompt(
        template=template.name,
        messages=messages,
        text=content.lstrip() if to_continue else None,
        demonstration_ids=demonstration_ids,
    )


# ── the templates of a run ───────────────────────────────────────────────────────────────────────────────

TEMPLATE_NAMES = frozenset(
    name for recipe in RECIPES.values() for stage in recipe.stages for name in stage.templates
)
"""File names of all templates."""


def folder(config: RunConfig) -> str:
    """Return the name of the directory that contains the shipped templates for a run."""
    return f"{config.recipe}-completions" if config.api == "completions" else config.recipe


def shipped_templates(config: RunConfig) -> Path:
    """Return the directory that contains the shipped templates for a run."""
    return resource(ENGLISH.prompts) / folder(config)


def template_names(config: RunConfig) -> tuple[str, ...]:
    """Return the file names of the templates that a run uses."""
    return tuple(
        name for stage in recipe_of(config).stages for name in stage.template_names(config)
    )


def load_templates(config: RunConfig, path: Path) -> dict[str, Template]:
    """Read and check a run's templates in the directory `path`.

    Raises InputError if the directory or a template is missing, unreadable or not suitable for the run.
    """
    shipped = shipped_templates(config)
    try:
        present = {file.name for file in path.iterdir()}
    except (FileNotFoundError, NotADirectoryError) as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else "is not a directory"
        remedy = f"choose a directory of templates, such as a copy of {shipped}"
        raise InputError(path, f"{problem}; {remedy}") from None
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    missing = [name for name in template_names(config) if name not in present]
    if missing:
        raise InputError(path, f"lacks {', '.join(missing)}; start from a copy of {shipped}")
    recipe, templates = recipe_of(config), {}
    for stage in recipe.stages:
        required = next(iter(stage.sample))
        for name in stage.template_names(config):
            templates[name] = load_template(
                path / name, folder=folder(config), required=required, sample=stage.sample
            )
    (name,) = recipe.generate.template_names(config)
    prompt = templates[name].compiled.render(recipe.generate.sample)
    if problem := recipe.generate.problem(config, prompt):
        raise InputError(path / name, f"{problem}; start from a copy of {shipped}")
    return templates


def frozen_templates(config: RunConfig, path: Path, names: Iterable[str]) -> dict[str, Template]:
    """Read templates by file name from a run directory, without checking them again."""
    return {
        name: read_template(path / name, folder=folder(config), opener=open_regular)[0]
        for name in names
    }
