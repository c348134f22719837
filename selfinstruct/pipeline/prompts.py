r"""Templates and how they become prompts. Knows Jinja2; does not know what the prompts ask for.

A template is a text file with holes. Holes are filled by a sandboxed Jinja2, since templates may come from
strangers; a hole without a value is an error, found when the template is loaded and not in the night.

    prompts/self-instruct/classify.txt    "… Task: {{ instruction }}\nIs it a classification task?"
    render(template, instruction="Name a fruit.")
    → Prompt(template="self-instruct/classify.txt@6d1c5a0be0c4", messages=(user: "… Name a fruit.…",))
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.errors import InputError
from selfinstruct.files import Opener, because, open_regular
from selfinstruct.records import Message, Prompt

_LARGEST = 1_000_000
"""Characters of a template, and of a prompt made of it with small values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A compiled template."""

    name: str
    """`<folder of the recipe>/<file>@<first 12 hex digits of its SHA-256>`."""
    text: str
    sha256: str
    compiled: Any = field(repr=False, compare=False)


def frozen_template(path: Path, *, folder: str) -> Template:
    """Read a template that a run was made with, and that was checked then. Raises InputError."""
    template, _ = _read(path, folder=folder, encoding="utf-8", opener=open_regular)
    return template


def load_template(path: Path, *, folder: str, required: str, sample: Mapping[str, Any]) -> Template:
    """Read and check one template, of those that stand in the folder of that name.

    `sample` has every value that it may use, with an example; `required` is the one without which every
    prompt would be the same. Raises InputError for a file that cannot be read, bad syntax, an unknown
    value, a missing one, and a template that fails when it is rendered.
    """
    # Editors on Windows put a mark before UTF-8, which must not get into a prompt.
    template, used = _read(path, folder=folder, encoding="utf-8-sig")
    known = ", ".join(sorted(sample))
    if unknown := sorted(used - sample.keys()):
        problem = f"uses an unknown value: {', '.join(unknown)} (known: {known})"
        raise InputError(path, f"{problem}; write one of these")
    if required not in used:
        problem = f"does not use {required!r}, so every prompt would be the same"
        raise InputError(path, f"{problem}; put {{{{ {required} }}}} where it belongs")
    try:
        # What fails here would fail in the night, after replies were paid for.
        length = 0
        for part in template.compiled.generate(sample):
            length += len(part)
            if length > _LARGEST:
                raise OverflowError(f"a prompt of more than {_LARGEST:,} characters")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001 - a template can raise anything
        raise InputError(path, f"cannot be rendered: {error}; mend the template") from None
    return template


def _read(
    path: Path, *, folder: str, encoding: str, opener: Opener | None = None
) -> tuple[Template, set[str]]:
    """A template, and the names of the values that it uses."""
    from jinja2 import StrictUndefined, TemplateSyntaxError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        """Refuses sums that would take all memory or all time: `"x" * 10 ** 10`."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            text, times = (left, right) if hasattr(left, "__len__") else (right, left)
            is_text = hasattr(text, "__len__") and isinstance(times, int)
            if operator == "**" or (is_text and len(text) * times > _LARGEST):
                raise OverflowError(f"{operator} with such values makes too much")
            return super().call_binop(context, operator, left, right)

    # The text becomes a prompt and not a page, so nothing is escaped.
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    try:
        with open(path, encoding=encoding, opener=opener) as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8 text; save it as such") from None
    if len(text) > _LARGEST:
        problem = f"is longer than {_LARGEST:,} characters, so it must be something else"
        raise InputError(path, f"{problem}; name a template")
    try:
        tree = environment.parse(text)
        used = meta.find_undeclared_variables(tree)
        compiled = environment.from_string(tree)
    except TemplateSyntaxError as error:
        told = f"{error.message or 'it cannot be understood'}".rstrip(".")
        problem = (
            f"is not a valid template: {told}; a value stands in {{{{ }}}}, a command in {{% %}}"
        )
        raise InputError(path, problem, line=error.lineno) from None
    except RecursionError:
        raise InputError(path, "is nested too deeply; mend the template") from None
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
    """Fill the holes: one user message, which every chat model takes, or a text `to_continue`.

    White space at the end of a text to continue counts: a base model goes on from exactly there.
    """
    content = template.compiled.render(values)
    if to_continue:
        return Prompt(
            template=template.name, text=content.lstrip(), demonstration_ids=demonstration_ids
        )
    content = content.strip()
    return Prompt(
        template=template.name,
        messages=(Message(role="user", content=content),),
        demonstration_ids=demonstration_ids,
    )
