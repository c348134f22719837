"""Selects the texts in a benchmark item that a record must not contain.

    MMLU         question, question + choices
    HellaSwag    ctx, ctx + right ending, ctx + endings; for n-grams, each also without WikiHow's tags
    HumanEval    prompt, prompt + canonical_solution; without leading imports
    other        every text

An answer alone is not evidence, because thousands of unrelated records contain "Paris". Therefore answers are
joined to their questions if the layout is known. In other layouts, the fields' roles are unknown, so every
text of at least eight words is searched for. If all texts are shorter, only the longest is searched for.

HumanEval's `test` is not searched for, because its numbers and asserts share words with every other test.
HellaSwag's `activity_label` and MMLU's `subject` are not searched for, because they are topics.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from selfinstruct.dataset.decontamination.field_texts import FieldText, is_within, texts_of
from selfinstruct.pipeline.tokenizers import unicode

LONG_ENOUGH = 8
"""Minimum number of words in a text that is evidence by itself: the smallest n in the GPT-3 paper."""

Fields = Mapping[str, object]


class ItemText(NamedTuple):
    """A text in a benchmark item that a record must not contain."""

    name: str
    """Names of the fields that the text was built from, such as "question + choices"."""
    text: str
    is_variant: bool = False
    """True if another of the item's texts has almost the same words. If so, ROUGE-L skips this text."""


@dataclass(frozen=True, slots=True)
class Item:
    """A benchmark item."""

    benchmark: str
    """The benchmark file that contains the item."""
    place: str
    """The item's place, such as "mmlu.jsonl:17"."""
    id: str | int | None
    """The item's id in the benchmark; None if it has none."""
    texts: tuple["ItemText", ...]


class Layout(NamedTuple):
    """A benchmark layout, which determines the fields that items have and the texts to search for."""

    name: str
    fields: frozenset[str]
    """The field names that identify the layout. An item must have all of them."""
    ids: tuple[str, ...]
    texts: Callable[[Fields], Iterable[ItemText]]


def _text(value: object) -> str:
    """Return the text in a field's value. If the value contains several texts, join them with newlines."""
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
        # Evaluation harnesses remove the tags, so a record may lack them.
        if _TAG.search(text):
            yield ItemText(f"{name}, without tags", _TAG.sub(" ", text), is_variant=True)


_IMPORTS = re.compile(r"\A(?:\s*(?:from|import)\s[^\n]*\n)+")


def _humaneval(fields: Fields) -> Iterable[ItemText]:
    # Half of the prompts begin with the same import, which other code with type hints also contains.
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
"""The layout for all other benchmarks."""


def layout_of(fields: Fields) -> Layout:
    """Return the layout of a benchmark item with these fields."""
    return next((layout for layout in LAYOUTS if layout.fields <= fields.keys()), OTHER)


def item_of(
    fields: Fields, *, benchmark: str, place: str, only: tuple[str, ...] = ()
) -> tuple[Item, str]:
    """Return an item and its layout's name.

    If `only` is not empty, only texts in these fields are used, and their names replace the layout's name.
    """
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
    """Return the texts that are long enough to be evidence. If there are none, return the longest text."""
    counted = [(len(unicode(text)), ItemText(field, text)) for field, text in texts]
    enough = tuple(text for words, text in counted if words >= LONG_ENOUGH)
    if enough or not counted:
        return enough
    return (max(counted, key=lambda pair: pair[0])[1],)
