"""What a card lacks that only whoever publishes the data can know, and the option that fills it."""

from collections.abc import Sequence

from selfinstruct.dataset.dataset_card.facts import Facts
from selfinstruct.dataset.dataset_card.front_matter import license_entries
from selfinstruct.dataset.dataset_card.types import Terms


def missing_from(facts: Facts, terms: Terms) -> tuple[str, ...]:
    """A sentence for each gap; () where there is none."""
    found = []
    if not is_said(terms.license):
        found.append(
            "the licence of the dataset; say it with --license, as an id such as apache-2.0 or cc-by-4.0, or "
            "as a name with an address"
        )
    if license_entries(terms.license).get("license_link") == "LICENSE":
        name = (terms.license or "").strip()
        found.append(
            f"the file LICENSE: the hub knows no licence named {name!r}; put its text beside the card, or "
            "give an id such as apache-2.0"
        )
    if not is_said(terms.model_terms):
        others = ", and of what wrote the imported tasks," if facts.imported else ""
        found.append(
            f"what the terms of the generating model{others} say about training on its output and passing "
            "it on; say it with --model-terms, in words or as an address"
        )
    if facts.own_material and not is_said(terms.source_license):
        found.append(
            f"the licence of {in_words(facts.own_material)}, which did not come with selfinstruct; say it "
            "with --source-license"
        )
    if not terms.languages:
        found.append("the language of the data; say it with --language, as a code such as en")
    return tuple(found)


def is_said(text: str | None) -> bool:
    """Whether there are any words."""
    return text is not None and bool(text.strip())


def in_words(names: Sequence[str]) -> str:
    """The seed tasks, the templates and the imports."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
