"""The dataset card that `selfinstruct export --card` writes beside the data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from selfinstruct.dataset.dataset_card import Card, DataFile, Exported, Terms, card, may_be_replaced
from selfinstruct.dataset.export import COLUMN_TYPES, Export, Part
from selfinstruct.errors import ConfigError, InputError
from selfinstruct.files import because, open_regular, read_at_most
from selfinstruct.runner.directory import Run

CARD = "README.md"
"""What a card is called, in the folder of the data."""
_LARGEST = 10_000_000


@dataclass(frozen=True, kw_only=True)
class CardWanted:
    """What a person says for the card."""

    terms: Terms
    options: Mapping[str, str]
    """What shaped the export, in words."""


def is_our_card(output: Path) -> bool:
    """Whether a card that nobody edited lies beside the data."""
    try:
        return may_be_replaced(
            read_at_most(output.parent / CARD, _LARGEST, opener=open_regular).decode()
        )
    except (OSError, ValueError):
        return False


def check_card(output: Path) -> None:
    """Raises ConfigError where there is no place for a card, InputError where another file has it."""
    if str(output) == "-":
        raise ConfigError("card", "lies beside the data, and - has no place; give a name with -o")
    path = output.parent / CARD
    try:
        text = read_at_most(path, _LARGEST, opener=open_regular).decode()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(path, f"cannot be read {because(error)}") from None
    except ValueError:
        text = ""
    if not may_be_replaced(text):
        problem = (
            "was written or edited by somebody, so no card replaces it; move it away, or leave out --card to "
            "write the data alone"
        )
        raise InputError(path, problem)


def card_of(
    run: Run,
    export: Export,
    parts: Sequence[Part],
    wanted: CardWanted,
    output: Path,
    *,
    left_out: Mapping[str, int] | None,
) -> tuple[Path, Card]:
    """The card of an export that is written, and its place; `left_out` are rows by benchmark."""
    benchmarks: Counter[str] = Counter()
    for file, rows in (left_out or {}).items():
        benchmarks[Path(file).name] += rows  # where it lies is nobody's business
    exported = Exported(
        format=export.wanted.format,
        container=export.container,
        columns=export.columns,
        types=COLUMN_TYPES if COLUMN_TYPES.keys() == {*export.columns} else {},
        files=tuple(
            DataFile(
                name=part.path.name, split=part.name, rows=part.rows, instructions=part.instructions
            )
            for part in parts
        ),
        options=wanted.options,
        seed_rows=sum(part.seed_rows for part in parts),
        benchmarks=benchmarks if left_out is not None else None,
        examples=export.first,
    )
    return output.parent / CARD, card(run, exported, wanted.terms)
