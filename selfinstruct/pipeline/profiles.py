"""Profiles: how replies are parsed and filtered.

    paper      decides as the published code does, so that results can be compared
    default    extracts more usable data from the same replies

Each profile also has its own default for the setting `tokenizer`. The recipe chooses the prompts and sampling
parameters, which are the same in both profiles, and has parsers and rules for each profile. Only `default`
uses `classify_again.txt`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from selfinstruct.pipeline.filters import Rule, is_in_wrong_script, rejection_reason
from selfinstruct.records import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a run does with unclear answers and with instructions that the rules accept."""

    name: str
    asks_twice: bool
    """True if an unclear answer to the classification question leads to a second question."""
    needs_tokens: bool
    """True if instructions without tokens are rejected, because novelty cannot compare them."""
    checks_script: bool
    """True if instructions in a script that the seed tasks do not use are rejected."""

    def rejection_reason(
        self, text: str, *, rules: Iterable[Rule], scripts: frozenset[str]
    ) -> Reason | None:
        """Return why an instruction is rejected, or None. Novelty is checked later.

        `scripts` are the scripts of the seed tasks, see `filters.scripts_of`.
        """
        reason = rejection_reason(text, rules)
        if reason is None and self.checks_script and is_in_wrong_script(text, scripts):
            return Reason.WRONG_SCRIPT
        return reason


DEFAULT = Profile(
    name="default",
    asks_twice=True,
    needs_tokens=True,
    checks_script=True,
)

PAPER = Profile(
    name="paper",
    asks_twice=False,
    needs_tokens=False,
    checks_script=False,
)

PROFILES = {profile.name: profile for profile in (DEFAULT, PAPER)}
