"""Profiles: how replies are parsed and filtered.

    paper      makes the same decisions as the published code, so that results can be compared
    default    extracts more usable data from the same replies

The default of the setting `tokenizer` also depends on the profile. Prompts and sampling parameters depend on
the recipe and are the same in both profiles, except that only `default` uses `classify_again.txt`. The recipe
has parsers and rules for each profile.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a run does with unclear answers, and with instructions that the rules of the recipe accept."""

    asks_twice: bool
    """True if the classification question is asked a second time after an unclear answer."""
    checks_more: bool
    """True if instructions are rejected in a script that the seed tasks and imported tasks do not use, and
    without tokens, because the novelty check cannot compare them."""


PROFILES = {
    "default": Profile(asks_twice=True, checks_more=True),
    "paper": Profile(asks_twice=False, checks_more=False),
}
