"""The dataset card next to an export."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfinstruct.dataset.dataset_card import Card, DataFile, Exported, Terms, card, may_be_replaced
from selfinstruct.dataset.export.rows import COLUMN_TYPES
from selfinstruct.dataset.export.writing import Export, Part
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import because, open_regular, read_at_most
from selfinstruct.runner.directory import Run

CARD = "README.md"
"""The name of a card, in the folder of the data."""
_LARGEST = 10_000_000


@dataclass(frozen=True, kw_only=True)
class CardRequest:
    """The parts of a card that the run does not know."""

    terms: Terms
    options: Mapping[str, str]
    """The options of the export that shaped the data."""


def has_unedited_card(output: Path) -> bool:
    """Return whether a card that was not edited is next to the data."""
    try:
        return may_be_replaced(_existing(output.parent / CARD))
    except (OSError, ValueError):
        return False


def check_card(output: Path) -> None:
    """Raise ConfigError if a card has no place, InputError if another file has the name."""
    if str(output) == "-":
        raise ConfigError(
            "card", "is a file next to the data, which - has not; give a name with -o"
        )
    path = output.parent / CARD
    try:
        text = _existing(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except ValueError:
        text = ""
    if not may_be_replaced(text):
        problem = (
            "was written or edited by a person, so no card replaces the file; move the file away, or leave "
            "out --card"
        )
        raise InputError(path, problem)


def _existing(path: Path) -> str:
    return read_at_most(path, _LARGEST, opener=open_regular).decode()


def card_of(
    run: Run,
    export: Export,
    parts: Sequence[Part],
    request: CardRequest,
    *,
    left_out: Mapping[str, int] | None,
) -> Card:
    """Return the card of a finished export; `left_out` are rows by benchmark file."""
    benchmarks: Counter[str] = Counter()
    for file, rows in (left_out or {}).items():
        benchmarks[Path(file).name] += rows  # folder names are private
    exported = Exported(
        format=export.options.format,
        container=export.container,
        columns=export.columns,
        types=COLUMN_TYPES if COLUMN_TYPES.keys() == {*export.columns} else {},
        files=tuple(
            DataFile(
                name=part.path.name, split=part.name, rows=part.rows, instructions=part.instructions
            )
            for part in parts
        ),
        options=request.options,
        seed_rows=sum(part.seed_rows for part in parts),
        benchmarks=benchmarks if left_out is not None else None,
        examples=export.first,
    )
    return card(run, exported, request.terms)
