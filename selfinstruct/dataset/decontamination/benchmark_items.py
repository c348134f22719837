"""Chooses the texts of a benchmark item that a record must not contain.

    MMLU         question, question + choices
    HellaSwag    ctx, ctx + right ending, ctx + endings; words in a row also without the tags of WikiHow
    HumanEval    prompt, prompt + canonical_solution; without leading imports
    other        every text

An answer alone is not evidence: thousands of unrelated records contain "Paris". In a known layout, answers
are therefore joined to their questions. In other layouts the roles of the fields are unknown, so every text
of at least eight words counts, or the longest text if all are shorter.

HumanEval's `test` does not count, because its numbers and asserts share words with every other test.
HellaSwag's `activity_label` and MMLU's `subject` are topics and do not count either.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from selfinstruct.dataset.decontamination.field_texts import FieldText, is_within, texts_of
from selfinstruct.pipeline.tokenizers import unicode

LONG_ENOUGH = 8
"""The minimum of words that are evidence: the smallest n of the GPT-3 report."""

Fields = Mapping[str, object]


class ItemText(NamedTuple):
    """A text that a record must not contain."""

    name: str
    """The fields of the text: "question + choices"."""
    text: str
    is_variant: bool = False
    """True if another text of the item has almost the same words, so that one comparison is enough."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a benchmark."""

    benchmark: str
    """The file of the item."""
    place: str
    """The place in the file."""
    id: str | int | None
    """The id in the benchmark."""
    texts: tuple["ItemText", ...]


class Layout(NamedTuple):
    """The fields of a benchmark."""

    name: str
    fields: frozenset[str]
    """The fields that identify the layout."""
    ids: tuple[str, ...]
    texts: Callable[[Fields], Iterable[ItemText]]


def _text(value: object) -> str:
    """Return the text of a field; the texts of a list become lines."""
    return "\n".join(text for _, text in texts_of({"": value}))


def _mmlu(fields: Fields) -> Iterable[ItemText]:
    question = _text(fields["question"])
    yield ItemText("question", question)
    yield ItemText("question + choices", f"{question}\n{_text(fields['choices'])}")


_TAG = re.compile(r"\[[a-z_]+\]")  # [header], [title], [step], [substeps]


def _hellaswag(fields: Fields) -> Iterable[ItemText]:
    context, endings = _text(fields["ctx"]), fields["endings"]
    written = {"ctx": context}
    label = str(fields.get("label", ""))
    if isinstance(endings, list) and label.isdecimal() and int(label) < len(endings):
        written["ctx + right ending"] = f"{context} {_text(endings[int(label)])}"
    written["ctx + endings"] = f"{context}\n{_text(endings)}"
    for name, text in written.items():
        yield ItemText(name, text)
        # Test harnesses remove the tags, so a record may lack them.
        if _TAG.search(text):
            yield ItemText(f"{name}, without tags", _TAG.sub(" ", text), is_variant=True)


_IMPORTS = re.compile(r"\A(?:\s*(?:from|import)\s[^\n]*\n)+")


def _humaneval(fields: Fields) -> Iterable[ItemText]:
    # Half of the prompts begin with the same import, like other code with type hints.
    prompt = _IMPORTS.sub("", _text(fields["prompt"]))
    yield ItemText("prompt", prompt)
    yield ItemText(
        "prompt + canonical_solution", f"{prompt}\n{_text(fields['canonical_solution'])}"
    )


def _other(fields: Fields) -> Iterable[ItemText]:
    return _long_texts(texts_of(fields))


LAYOUTS = (
    Layout("HumanEval", frozenset({"prompt", "canonical_solution"}), ("task_id",), _humaneval),
    Layout("HellaSwag", frozenset({"ctx", "endings"}), ("ind", "source_id"), _hellaswag),
    Layout("MMLU", frozenset({"question", "choices", "answer"}), ("id", "question_id"), _mmlu),
)
OTHER = Layout(
    "other", frozenset(), ("id", "task_id", "question_id", "qid", "uid", "idx", "ind"), _other
)
"""The layout of every other benchmark."""


def layout_of(fields: Fields) -> Layout:
    """Return the layout of an item."""
    return next((layout for layout in LAYOUTS if layout.fields <= fields.keys()), OTHER)


def item_of(
    fields: Fields, *, benchmark: str, place: str, only: tuple[str, ...] = ()
) -> tuple[Item, str]:
    """Return an item and the name of its layout. With `only`, just the texts of these fields count."""
    layout = layout_of(fields)
    if only:
        chosen = (t for t in texts_of(fields) if any(is_within(t.field, name) for name in only))
        texts, name = _long_texts(chosen), ", ".join(only)
    else:
        texts, name = tuple(layout.texts(fields)), layout.name
    values = (fields.get(key) for key in layout.ids)
    named = next((value for value in values if isinstance(value, str | int)), None)
    return Item(benchmark, place, named, texts), name


def _long_texts(texts: Iterable[FieldText]) -> tuple[ItemText, ...]:
    """Return the texts that are long enough to be evidence, or else the longest."""
    counted = [(len(unicode(text)), ItemText(field, text)) for field, text in texts]
    enough = tuple(text for words, text in counted if words >= LONG_ENOUGH)
    if enough or not counted:
        return enough
    return (max(counted, key=lambda pair: pair[0])[1],)
