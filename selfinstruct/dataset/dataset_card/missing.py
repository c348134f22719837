"""Lists what a card does not say yet, and the option that supplies each piece of information."""

from collections.abc import Sequence

from selfinstruct.dataset.dataset_card.card_inputs import Terms
from selfinstruct.dataset.dataset_card.facts import Facts
from selfinstruct.dataset.dataset_card.front_matter import license_entries


def missing_from(facts: Facts, terms: Terms) -> tuple[str, ...]:
    """Return a sentence for each piece of information that the card lacks."""
    missing = []
    if not is_given(terms.license):
        missing.append(
            "the dataset's licence; use --license to specify an id, such as apache-2.0 or cc-by-4.0, or a "
            "name with an address"
        )
    if license_entries(terms.license).get("license_link") == "LICENSE":
        name = (terms.license or "").strip()
        missing.append(
            f"the file LICENSE: the hub does not know the licence {name!r}; put its text next to the "
            "card, or specify an id such as apache-2.0"
        )
    if not is_given(terms.model_terms):
        others = ", and of the model of the imported tasks," if facts.summary.imported else ""
        missing.append(
            f"the terms of the generating model{others} for training on its output and sharing the output; "
            "give a text or an address with --model-terms"
        )
    if facts.own_material and not is_given(terms.source_license):
        missing.append(
            f"the licence of {in_words(facts.own_material)}, which did not come with selfinstruct; give it "
            "with --source-license"
        )
    if not terms.languages:
        missing.append("the language of the data; give a code such as en with --language")
    return tuple(missing)


def is_given(text: str | None) -> bool:
    """Return whether `text` is neither None nor blank."""
    return text is not None and bool(text.strip())


def in_words(names: Sequence[str]) -> str:
    """Return the names joined by commas and a final "and"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
