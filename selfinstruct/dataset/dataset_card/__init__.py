"""The dataset card of an export: a README.md that helps people decide whether to use the data. Pure.

    card(run, exported, terms) → Card(text="---…", missing=("the licence of the dataset: …",))

The card takes its facts from the run. A person gives licences and the terms of the model; the card says what
is missing. Names of models and files and all generated text are hostile: none of it can break the front
matter, a table or a fence.

A card depends on the run and the export only: it has no times, costs, addresses or folders. The same run and
the same options give the same bytes.
"""

from selfinstruct.dataset.dataset_card.checksum import is_sealed, sealed
from selfinstruct.dataset.dataset_card.facts import facts_of
from selfinstruct.dataset.dataset_card.rendering import Card, render
from selfinstruct.dataset.dataset_card.types import DataFile, Exported, Terms
from selfinstruct.runner.directory import Run

__all__ = ["Card", "DataFile", "Exported", "Terms", "card", "may_be_replaced"]


def card(run: Run, exported: Exported, terms: Terms) -> Card:
    """Return the card of an export, with the information that is still missing."""
    text, missing = render(facts_of(run), exported, terms)
    return Card(text=sealed(text), missing=missing)


def may_be_replaced(text: str) -> bool:
    """Return whether an existing README.md is a card without edits."""
    return is_sealed(text)
