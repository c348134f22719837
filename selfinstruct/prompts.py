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
from selfinstruct.records import Message, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A compiled template."""

    name: str
    """`<recipe>/<file>@<first 12 hex digits of its SHA-256>`."""
    text: str
    sha256: str
    compiled: Any = field(repr=False, compare=False)


def load_template(path: Path, *, recipe: str, holes: frozenset[str]) -> Template:
    """Read and check one template. `holes` are the values it may use.

    Raises InputError for a file that cannot be read, bad syntax, and a hole that nothing fills.
    """
    from jinja2 import StrictUndefined, TemplateSyntaxError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # The text becomes a prompt and not a page, so nothing is escaped.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(path, "is not UTF-8 text") from None
    try:
        tree = environment.parse(text)
        used = meta.find_undeclared_variables(tree)
    except TemplateSyntaxError as error:
        raise InputError(path, f"is no template: {error.message}", line=error.lineno) from None
    if unknown := sorted(used - holes):
        raise InputError(
            path,
            f"has a hole that nothing fills: {', '.join(unknown)} (there are: {', '.join(sorted(holes))})",
        )
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Template(
        name=f"{recipe}/{path.name}@{sha256[:12]}",
        text=text,
        sha256=sha256,
        compiled=environment.from_string(tree),
    )


def render(
    template: Template, values: Mapping[str, Any], *, demonstration_ids: tuple[str, ...] = ()
) -> Prompt:
    """Fill the holes. The prompt is one user message, which every chat model takes."""
    content = template.compiled.render(values).strip()
    return Prompt(
        template=template.name,
        messages=(Message(role="user", content=content),),
        demonstration_ids=demonstration_ids,
    )
