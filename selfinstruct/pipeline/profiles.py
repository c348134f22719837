"""A profile: how replies are read and judged. Parsers, rules and what is asked twice, chosen together.

    paper      decides as the published code, so that results can be compared with it
    default    gets more usable data out of the same replies

The tokenizer is a setting of its own, whose default the profile chooses. Which prompts are sent, and with
what sampling, is the recipe's matter and the same in both; only `classify_again.txt` is `default`'s alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from selfinstruct.pipeline.filters import RULES, Rule, is_in_wrong_script, objection
from selfinstruct.pipeline.parse import alpaca_blocks, classification, instances, lists, paper
from selfinstruct.pipeline.parse.types import AnswerParser, InstanceParser, ListParser
from selfinstruct.records import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How replies are read and judged."""

    name: str
    read_list: Mapping[str, ListParser]
    """By recipe: the reader of replies to generation requests."""
    read_answer: AnswerParser
    read_instances: InstanceParser
    rules: Mapping[str, tuple[Rule, ...]]
    """By recipe: the rules for instructions."""
    asks_twice: bool
    """Whether an unclear answer to the classification question is asked for once more."""
    needs_tokens: bool
    """Whether a text without any token is rejected, since novelty cannot tell what it is like."""
    minds_script: bool
    """Whether a text in a script that the seed tasks do not use is rejected."""

    def objection(self, text: str, *, recipe: str, scripts: frozenset[str]) -> Reason | None:
        """Why an instruction cannot become a task, or None. Novelty comes after this.

        `scripts` are those of the seed tasks, see `filters.scripts_of`.
        """
        reason = objection(text, self.rules[recipe])
        if reason is None and self.minds_script and is_in_wrong_script(text, scripts):
            return Reason.WRONG_SCRIPT
        return reason


def _rules(profile: str) -> dict[str, tuple[Rule, ...]]:
    return {recipe: rules for (name, recipe), rules in RULES.items() if name == profile}


DEFAULT = Profile(
    name="default",
    read_list={"self-instruct": lists.instructions, "alpaca": alpaca_blocks.blocks},
    read_answer=classification.answer,
    read_instances=instances.instances,
    rules=_rules("default"),
    asks_twice=True,
    needs_tokens=True,
    minds_script=True,
)

PAPER = Profile(
    name="paper",
    read_list={"self-instruct": paper.instructions, "alpaca": paper.blocks},
    read_answer=paper.answer,
    read_instances=paper.instances,
    rules=_rules("paper"),
    asks_twice=False,
    needs_tokens=False,
    minds_script=False,
)

PROFILES = {profile.name: profile for profile in (DEFAULT, PAPER)}
