"""Profiles: how replies are parsed and filtered.

    paper      makes the same decisions as the published code, so that results can be compared
    default    extracts more usable data from the same replies

The default of the setting `tokenizer` also depends on the profile. Prompts and sampling parameters depend on
the recipe and are the same in both profiles, except that only `default` uses `classify_again.txt`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from selfinstruct.pipeline.filters import RULES, is_in_wrong_script, rejection_reason
from selfinstruct.pipeline.parse import alpaca_blocks, classification, instances, lists, paper
from selfinstruct.pipeline.parse.types import AnswerParser, InstanceParser, ListParser
from selfinstruct.records import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The parsers and filters of a run."""

    name: str
    read_list: Mapping[str, ListParser]
    """Parsers for replies to generation requests, by recipe."""
    read_answer: AnswerParser
    read_instances: InstanceParser
    asks_twice: bool
    """Whether the classification question is asked a second time after an unclear answer."""
    needs_tokens: bool
    """Whether instructions without tokens are rejected, because the novelty check cannot compare them."""
    checks_script: bool
    """Whether instructions in a script that the seed tasks and imported tasks do not use are rejected."""

    def rejection_reason(self, text: str, *, recipe: str, scripts: frozenset[str]) -> Reason | None:
        """Return why an instruction must be rejected, or None. Novelty is checked later.

        `scripts` are the scripts of the seed tasks and imported tasks; see `filters.scripts_of`.
        """
        reason = rejection_reason(text, RULES[self.name, recipe])
        if reason is None and self.checks_script and is_in_wrong_script(text, scripts):
            return Reason.WRONG_SCRIPT
        return reason


DEFAULT = Profile(
    name="default",
    read_list={"self-instruct": lists.instructions, "alpaca": alpaca_blocks.blocks},
    read_answer=classification.answer,
    read_instances=instances.instances,
    asks_twice=True,
    needs_tokens=True,
    checks_script=True,
)

PAPER = Profile(
    name="paper",
    read_list={"self-instruct": paper.instructions, "alpaca": paper.blocks},
    read_answer=paper.answer,
    read_instances=paper.instances,
    asks_twice=False,
    needs_tokens=False,
    checks_script=False,
)

PROFILES = {profile.name: profile for profile in (DEFAULT, PAPER)}
