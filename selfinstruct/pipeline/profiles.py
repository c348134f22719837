"""Profiles: how replies are parsed and filtered.

    paper      decides as the published code does, so that results can be compared
    default    extracts more usable data from the same replies

Each profile also has its own default for the setting `tokenizer`. The recipe chooses the prompts and sampling
parameters, which are the same in both profiles, and has parsers and rules for each profile. Only `default`
uses `classify_again.txt`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a run does with unclear answers, and with instructions that the rules of the recipe accept."""

    asks_twice: bool
    """True if an unclear answer to the classification question leads to a second question."""
    checks_more: bool
    """True if instructions in a script that the seed tasks do not use are rejected, and instructions without
    tokens, because novelty cannot compare them."""


PROFILES = {
    "default": Profile(asks_twice=True, checks_more=True),
    "paper": Profile(asks_twice=False, checks_more=False),
}
