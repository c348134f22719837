"""`RunConfig`: all settings of a run, in three groups: recipe, endpoint and budget.

The YAML file, the command line, the copy in the run directory and the fingerprint all use these declarations.
Flags override the YAML file, which overrides the defaults.

*Data* settings determine what the dataset contains, given the replies. They are part of the fingerprint and
cannot change once the run has a reply. *Operational* settings determine how the run is carried out: speed,
size, address and limits. You can change them each time you start the run; the run stores the latest values.

    >>> RunConfig(model="m", threshold=0.8).given()
    {'model': 'm', 'threshold': 0.8}
    >>> RunConfig(model="m", threshold=7)
    Traceback (most recent call last):
    selfinstruct.errors.ConfigError: threshold: must be between 0 and 1, not 7
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfinstruct.config.budget_settings import BudgetSettings
from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.config.recipe_settings import RecipeSettings


@dataclass(frozen=True, kw_only=True)
class RunConfig(RecipeSettings, EndpointSettings, BudgetSettings):
    """All settings of a run. Raises ConfigError if a value is invalid."""

    def given(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        return {
            spec.name: getattr(self, spec.name)
            for spec in self.specs()
            if getattr(self, spec.name) != self.default(spec)
        }

    def changed(self, **settings: Any) -> "RunConfig":
        """Return a copy with some settings changed. Unlike `dataclasses.replace`, recompute the defaults."""
        return RunConfig(**(self.given() | settings))

    def capped(self, **maximums: float) -> "RunConfig":
        """Return a copy in which no setting exceeds its maximum in `maximums`."""
        return self.changed(**{n: min(getattr(self, n), most) for n, most in maximums.items()})


OPERATIONAL = frozenset(spec.name for spec in RunConfig.specs() if spec.metadata["operational"])
"""Names of the settings that may change between a run's starts.

`base_url` is one of them, because a model may move to another address.
"""

BY_CONTENT = frozenset({"seed_tasks", "prompts"})
"""Names of the settings that refer to a file or directory whose content matters; its path may change."""


def plain(config: RunConfig) -> dict[str, Any]:
    """Return all settings, converted to types that JSON and YAML can represent."""
    values = dataclasses.asdict(config)
    return {
        spec.name: str(value) if isinstance(value := values[spec.name], Path) else value
        for spec in config.specs()
    }


def fingerprint(
    settings: Mapping[str, Any], *, hashes: Mapping[str, str], versions: Mapping[str, int]
) -> str:
    """Return a run's fingerprint, which identifies its data settings: 64 hex digits.

    It covers the data settings among `settings` (from `plain`), the hashes of the seed tasks and templates,
    and the versions of the rules.
    """
    identity = {
        "settings": {
            name: value
            for name, value in settings.items()
            if name not in OPERATIONAL and name not in BY_CONTENT
        },
        "hashes": dict(hashes),
        "versions": dict(versions),
    }
    canonical = json.dumps(identity, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
