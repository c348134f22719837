"""A list of records without near duplicates: each is compared with those kept before it, by exact ROUGE-L.

The first of several like texts is kept, in the order of the list. What a run does with candidates, for
anyone's data; the rule is the one of `selfinstruct.pipeline.novelty`. Pure: records come in, decisions go
out.

    >>> texts = ["Name three rivers.", "Name three big rivers.", "Sing!"]
    >>> candidates = [Candidate(n, text, f"line {n}") for n, text in enumerate(texts, start=1)]
    >>> for decision in Deduplication(threshold=0.7).decide(candidates):
    ...     print(decision)
    Kept(record=1, position=0)
    Rejected(record=2, witness='Name three rivers.', witness_place='line 1', rouge_l=0.8571428571428571)
    Kept(record=3, position=1)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from selfinstruct.pipeline.novelty import NoveltyIndex

BATCH = 1_000
"""Candidates that are compared at once, for speed; the decisions are those of one after the other."""
_BATCH_SIZE = 16_000_000
"""Bytes of them that are in memory at most, but for the last one."""
NOTHING_SIMILAR = {"most_similar_instructions": dict[str, float](), "avg_similarity_score": 0.0}
"""What a text without tokens is given by `--similarities`."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[T]):
    """A record, what it is compared by, and where it stands."""

    record: T
    text: str
    place: str
    size: int = 0
    """About how many bytes the record takes."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A record unlike those before it. `position` is None where its text has no token: nothing is like it."""

    record: T
    position: int | None
    is_equal: bool = field(default=False, repr=False)
    """Whether its text is that of a record kept before, whose position it has: see `keep_equal`."""


@dataclass(frozen=True, slots=True)
class Rejected(Generic[T]):
    """A record whose text is too like an earlier one, the witness."""

    record: T
    witness: str
    witness_place: str
    rouge_l: float
    is_known: bool = field(default=False, repr=False)
    """Whether the witness is no record of the list, but was known before."""


class Deduplication:
    """Decides on one record after the other. Keeps texts and their places, and nothing else of a record."""

    def __init__(
        self, *, threshold: float = 0.7, tokenizer: str = "unicode", keep_equal: bool = False
    ) -> None:
        """With `keep_equal` a record whose text is exactly that of one kept before it is kept, too.

        Texts that are merely known do not count for that. Raises ValueError for a threshold outside of
        [0, 1] and for an unknown tokenizer.
        """
        self._index = NoveltyIndex(threshold=threshold, tokenizer=tokenizer)
        self._texts: list[str] = []
        self._places: list[str] = []
        self._known = 0
        self._positions: dict[str, int] | None = {} if keep_equal else None

    def know(self, text: str, place: str) -> None:
        """Count a text as kept before all others. Must come before the first decision."""
        if len(self._texts) != self._known:
            raise ValueError("decisions were made already")
        if self._index.tokens(text):
            self._index.add(text)
            self._add(text, place)
            self._known += 1

    def decide(self, candidates: Iterable[Candidate[T]]) -> Iterator[Kept[T] | Rejected[T]]:
        """The decision on each candidate, in order."""
        for batch in _batches(candidates):
            has_tokens = [bool(self._index.tokens(candidate.text)) for candidate in batch]
            compared = [
                c.text for c, comparable in zip(batch, has_tokens, strict=True) if comparable
            ]
            verdicts = iter(self._index.admit(compared))
            for candidate, comparable in zip(batch, has_tokens, strict=True):
                if not comparable:
                    yield Kept(candidate.record, None)
                    continue
                verdict = next(verdicts)
                if verdict.novel:
                    if self._positions is not None:
                        self._positions.setdefault(candidate.text, len(self._texts))
                    yield Kept(candidate.record, len(self._texts))
                    self._add(candidate.text, candidate.place)
                    continue
                equal = self._positions.get(candidate.text) if self._positions else None
                if equal is not None:
                    yield Kept(candidate.record, equal, is_equal=True)
                    continue
                assert verdict.position is not None
                assert verdict.rouge_l is not None
                at = verdict.position
                yield Rejected(
                    candidate.record,
                    self._texts[at],
                    self._places[at],
                    verdict.rouge_l,
                    is_known=at < self._known,
                )

    def similarities(
        self, positions: Iterable[int] | None = None, *, workers: int = 1
    ) -> Iterator[dict[str, Any]]:
        """How like those before it the texts at these positions are: fields to add to their records.

        None: each kept text with tokens, in order. After all decisions. `workers` is a number of threads.
        """
        kept = range(self._known, len(self._texts)) if positions is None else positions
        for found in self._index.similarities(kept, workers=workers):
            yield found.as_fields(self._texts)

    def _add(self, text: str, place: str) -> None:
        self._texts.append(text)
        self._places.append(place)


def _batches(candidates: Iterable[Candidate[T]]) -> Iterator[list[Candidate[T]]]:
    batch: list[Candidate[T]] = []
    size = 0
    for candidate in candidates:
        batch.append(candidate)
        size += candidate.size
        if len(batch) >= BATCH or size >= _BATCH_SIZE:
            yield batch
            batch.clear()  # before the next ones come, so that there are never two
            size = 0
    if batch:
        yield batch


def text_of(fields: Mapping[str, Any], names: Sequence[str], *, option: str = "--field") -> str:
    """What a record is compared by: the texts of these fields, each on lines of its own, empty ones left out.

    A name may lead into what is nested: `messages.0.content`. Of several fields, those that are missing or
    null count as empty, unless all are. Raises ValueError, with a sentence, where there is no such field or
    it holds no text; `option` is what names another.

    >>> text_of({"messages": [{"content": "Hello!"}]}, ["messages.0.content"])
    'Hello!'
    """
    texts, faults = [], []
    for name in names:
        try:
            value = _value(fields, name, option)
        except _NoFieldError as error:
            faults.append(error)
            continue
        if isinstance(value, str):
            texts.append(value)
            continue
        said = f"the field {name!r} is {_in_words(value)}, not text{_remedy(name, value, option)}"
        faults.append(_NoFieldError(said))
        if value is not None:
            raise ValueError(said)
    if not texts:
        raise faults[0]
    return "\n".join(text for text in texts if text) if len(texts) > 1 else texts[0]


def has_text(fields: Mapping[str, Any], name: str) -> bool:
    """Whether a record has a text in this field, be it empty."""
    try:
        return isinstance(_value(fields, name, ""), str)
    except _NoFieldError:
        return False


class _NoFieldError(ValueError):
    """Nothing is there."""


def _value(fields: Mapping[str, Any], name: str, option: str) -> Any:
    if name in fields:
        return fields[name]
    value: Any = fields
    for part in name.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part in map(str, range(len(value))):
            value = value[int(part)]
        else:
            there = ", ".join(_short(key) for key in list(fields)[:_SHOWN]) or "none"
            more = ", …" if len(fields) > _SHOWN else ""
            remedy = _separator(fields) or f"name one with {option} (there: {there}{more})"
            raise _NoFieldError(f"has no field {name!r}; {remedy}")
    return value


_SHOWN = 8


def _separator(fields: Mapping[str, Any]) -> str:
    """A remedy where the only name looks like a header of CSV that another character than , separates."""
    only = next(iter(fields)) if len(fields) == 1 else ""
    for character, word in ((";", "semicolons"), ("\t", "tabs")):
        if character in only:
            named = _short(only).replace("\t", "\\t")
            return (
                f"the only field is {named}, so that {word} seem to separate the columns; "
                "save the file with commas"
            )
    return ""


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"


def _in_words(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "an object"
    kinds = {int: "a number", float: "a number", list: "a list"}
    return kinds.get(type(value), f"of type {type(value).__name__}")


def _remedy(name: str, value: object, option: str) -> str:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return (
            f"; name a text in it, such as {option} {name}.0.{_short(next(iter(value[0]), 'text'))}"
        )
    if isinstance(value, list):
        return f"; name a text in it, such as {option} {name}.0"
    if isinstance(value, Mapping):
        return f"; name a text in it, such as {option} {name}.{_short(next(iter(value), 'text'))}"
    return f"; mend the record, or name another field with {option}"
