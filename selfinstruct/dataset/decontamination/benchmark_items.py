"""Which texts of a benchmark's item count: what a record must not hold.

    MMLU         question, question + choices
    HellaSwag    ctx, ctx + right ending, ctx + endings; runs of words also without the tags of WikiHow
    HumanEval    prompt, prompt + canonical_solution; without the imports they begin with
    other        every text

An answer says nothing without its question: "Paris" is in thousands of records that never saw the item. So
the answers of a known layout are put behind what they answer, and are then found only as far as they are long
enough to be evidence by themselves. Of another layout nobody knows which field answers which: its texts count
one by one, those of at least eight words, or the longest one where none has as many.

HumanEval's `test` does not count: it is rows of numbers and asserts, which share runs of words with any other
test, and whoever copied a test has copied the prompt. HellaSwag's `activity_label`, MMLU's `subject` and
anything like them name a topic.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from selfinstruct.dataset.decontamination.field_texts import FieldText, is_within, texts_of
from selfinstruct.pipeline.tokenizers import unicode

LONG_ENOUGH = 8
"""Words from which on a text, or a run of words, is evidence by itself: the least n of the GPT-3 report."""

Fields = Mapping[str, object]


class ItemText(NamedTuple):
    """A text that a record must not hold."""

    name: str
    """What it is made of: "question + choices"."""
    text: str
    is_variant: bool = False
    """Another one with almost these words is there, too. Whole texts need to be compared with one only."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a benchmark."""

    benchmark: str
    """The file that it is in."""
    place: str
    """Where in that file."""
    id: str | int | None
    """What the benchmark calls it."""
    texts: tuple["ItemText", ...]


class Layout(NamedTuple):
    """How a benchmark writes its items."""

    name: str
    fields: frozenset[str]
    """An item that has all of these is one of this benchmark."""
    ids: tuple[str, ...]
    texts: Callable[[Fields], Iterable[ItemText]]


def _text(value: object) -> str:
    """The text of a field; of a list its texts, one a line. CSV has lists as texts already."""
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
        # Harnesses take the tags out, and so may whoever made a record of it.
        if _TAG.search(text):
            yield ItemText(f"{name}, without tags", _TAG.sub(" ", text), is_variant=True)


_IMPORTS = re.compile(r"\A(?:\s*(?:from|import)\s[^\n]*\n)+")


def _humaneval(fields: Fields) -> Iterable[ItemText]:
    # Half of the prompts begin with the same import, and so does any other code with type hints.
    prompt = _IMPORTS.sub("", _text(fields["prompt"]))
    yield ItemText("prompt", prompt)
    yield ItemText(
        "prompt + canonical_solution", f"{prompt}\n{_text(fields['canonical_solution'])}"
    )


def _other(fields: Fields) -> Iterable[ItemText]:
    return _telling(texts_of(fields))


LAYOUTS = (
    Layout("HumanEval", frozenset({"prompt", "canonical_solution"}), ("task_id",), _humaneval),
    Layout("HellaSwag", frozenset({"ctx", "endings"}), ("ind", "source_id"), _hellaswag),
    Layout("MMLU", frozenset({"question", "choices", "answer"}), ("id", "question_id"), _mmlu),
)
OTHER = Layout(
    "other", frozenset(), ("id", "task_id", "question_id", "qid", "uid", "idx", "ind"), _other
)
"""What is none of these."""


def layout_of(fields: Fields) -> Layout:
    """The layout that an item has."""
    return next((layout for layout in LAYOUTS if layout.fields <= fields.keys()), OTHER)


def item_of(
    fields: Fields, *, benchmark: str, place: str, only: tuple[str, ...] = ()
) -> tuple[Item, str]:
    """An item and the name of its layout. With `only`, the texts of these fields and no others count."""
    layout = layout_of(fields)
    if only:
        chosen = (t for t in texts_of(fields) if any(is_within(t.field, name) for name in only))
        texts, name = _telling(chosen), ", ".join(only)
    else:
        texts, name = tuple(layout.texts(fields)), layout.name
    values = (fields.get(key) for key in layout.ids)
    named = next((value for value in values if isinstance(value, str | int)), None)
    return Item(benchmark, place, named, texts), name


def _telling(texts: Iterable[FieldText]) -> tuple[ItemText, ...]:
    """Those that are long enough to be evidence; where none is, the longest, which is hardly the answer."""
    counted = [(len(unicode(text)), ItemText(field, text)) for field, text in texts]
    enough = tuple(text for words, text in counted if words >= LONG_ENOUGH)
    if enough or not counted:
        return enough
    return (max(counted, key=lambda pair: pair[0])[1],)
