"""`RunConfig`: every setting of a run, in three groups: recipe, endpoint and budget.

The YAML file, the command line, the copy in the run directory and the fingerprint all use these declarations.
Precedence: defaults < YAML file < flags.

*Data* settings decide what the dataset contains, given the replies. They are part of the fingerprint and
cannot change once the run has a reply. *Operational* settings decide how the run is carried out: speed,
size, address, limits. They may change at every start; the run remembers the latest values.

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
    """All settings of a run. Raises ConfigError for an invalid value."""

    def given(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults."""
        return {
            spec.name: getattr(self, spec.name)
            for spec in self.specs()
            if getattr(self, spec.name) != self.default(spec)
        }

    def changed(self, **settings: Any) -> "RunConfig":
        """Return a copy with other settings; unlike in `dataclasses.replace`, defaults are computed again."""
        return RunConfig(**(self.given() | settings))


OPERATIONAL = frozenset(spec.name for spec in RunConfig.specs() if spec.metadata["operational"])
"""Settings that may change between starts, among them `base_url`: a model may move to another address."""

BY_CONTENT = frozenset({"seed_tasks", "prompts"})
"""Settings that count by the content of a file or folder; the path may change."""


def plain(config: RunConfig) -> dict[str, Any]:
    """Return all settings in types that JSON and YAML have."""
    values = dataclasses.asdict(config)
    return {
        spec.name: str(value) if isinstance(value := values[spec.name], Path) else value
        for spec in config.specs()
    }


def fingerprint(
    settings: Mapping[str, Any], *, hashes: Mapping[str, str], versions: Mapping[str, int]
) -> str:
    """Return the identity of a run: 64 hex digits.

    The fingerprint covers the data settings (from `plain`), the hashes of seed tasks and templates, and the
    versions of the rules.
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
