"""Budget settings: the limits at which a run stops."""

from dataclasses import dataclass
from functools import partial

from selfinstruct.config.setting_declaration import Group, at_least, cost, job

_amount = partial(cost, check=at_least(0))
_count = partial(cost, check=at_least(1))


@dataclass(frozen=True, kw_only=True)
class BudgetSettings(Group):
    """A run's limits, which cover all its starts together."""

    stall_after: int = job(
        100,
        "Stop after this many generation requests in a row that yield no new instruction.",
        rare=True,
        check=at_least(1),
    )
    max_cost: float | None = _amount(
        None, "Maximum cost of the run in dollars, over all its starts."
    )
    max_tokens_total: int | None = _count(
        None, "Maximum number of prompt and completion tokens of the run."
    )
    max_requests: int | None = _count(
        None, "Maximum number of requests of the run; every attempt counts."
    )
    max_time_s: float | None = _amount(
        None, "Maximum time of the run in seconds, over all its starts."
    )
    confirm_above: float = cost(
        1.0,
        "On a terminal, ask for confirmation if a start will probably cost more than this, in dollars.",
        rare=True,
        check=at_least(0),
    )
