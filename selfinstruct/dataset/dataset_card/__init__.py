"""The dataset card of an export: the README.md by which a person decides whether to use the data. Pure.

    card(run, exported, terms) → Card(text="---…", missing=("the licence of the dataset: …",))

What the run knows is told by itself; what only a person can know (licences, the terms of the model) is asked
for, and where it is not given the card says so. Names of models and files and what models wrote are hostile:
none of it can break the front matter, a table or a fence.

There is nothing in a card but what is a function of the run and of the export: no times, costs, addresses or
folders. The same run and the same options give the same bytes.
"""

from selfinstruct.dataset.dataset_card.checksum import is_sealed, sealed
from selfinstruct.dataset.dataset_card.facts import facts_of
from selfinstruct.dataset.dataset_card.rendering import Card, render
from selfinstruct.dataset.dataset_card.types import DataFile, Exported, Terms
from selfinstruct.runner.directory import Run

__all__ = ["Card", "DataFile", "Exported", "Terms", "card", "may_be_replaced"]


def card(run: Run, exported: Exported, terms: Terms) -> Card:
    """The card of an export of a run, with what whoever publishes the data must still add to it."""
    text, missing = render(facts_of(run), exported, terms)
    return Card(text=sealed(text), missing=missing)


def may_be_replaced(text: str) -> bool:
    """Whether an existing README.md is a card of ours that nobody has edited."""
    return is_sealed(text)
