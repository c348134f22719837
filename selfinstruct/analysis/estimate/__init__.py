"""What a run will take, before it takes it: requests, tokens, dollars and hours, each with its range.

What the replies of a run that exists have shown takes the place of what is assumed of models in general. A
probe's replies do the same for a run that is new.

    estimate_of(planned_run(None, {"model": "gpt-4.1-mini", "num_instructions": 1000})).left_usd
    → Money(low=Decimal("0.49"), expected=Decimal("0.77"), high=Decimal("1.38"))
"""

from collections import Counter
from collections.abc import Iterable

from selfinstruct.analysis.estimate.assumptions import Assumptions, Figure, PerStage, assumed
from selfinstruct.analysis.estimate.forecast import Basis, forecast, reach
from selfinstruct.analysis.estimate.measured import Observed
from selfinstruct.analysis.estimate.ranges import Amounts, Money, Range
from selfinstruct.analysis.estimate.results import (
    Estimate,
    StageEstimate,
    amounts_json,
    money_json,
    range_json,
)
from selfinstruct.budget.prices import quotation_for
from selfinstruct.events import Event
from selfinstruct.runner.directory import Run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.run_files import JOURNAL

__all__ = [
    "Amounts",
    "Assumptions",
    "Basis",
    "Estimate",
    "Figure",
    "Money",
    "Observed",
    "PerStage",
    "Range",
    "StageEstimate",
    "amounts_json",
    "basis_of",
    "estimate_of",
    "forecast",
    "money_json",
    "range_json",
    "reach",
]


def estimate_of(run: Run, seen: Iterable[Event] = ()) -> Estimate:
    """The estimate of a run as it stands.

    The run's own journal is read, if it has any replies; `seen` are the events of a probe. Raises ConfigError
    for half a price, JournalError.
    """
    return forecast(basis_of(run, seen))


def basis_of(run: Run, seen: Iterable[Event] = (), *, observed: Observed | None = None) -> Basis:
    """What the estimate of a run follows from; see `estimate_of`.

    `observed` has looked at the run's events already; otherwise its journal is read.
    """
    state, config = run.state, run.config
    if observed is None:
        observed = Observed(pool_size=state.pool_sizes[0])
        if state.counts.requests:
            observed = Observed(pool_size=state.pool.seed_count)
            for entry in read_journal(run.directory / JOURNAL):
                observed.look_at(entry.event)
    for event in seen:
        observed.look_at(event)
    waiting = Counter(request_id.partition("/")[0] for request_id in state.waiting)
    unclassified = without_instances = 0
    for task in state.pool.generated:
        if not task.is_final:
            without_instances += 1
            unclassified += task.is_classification is None
    return Basis(
        config=config,
        seed_tasks=state.pool.seed_count,
        accepted=state.accepted,
        lag=config.lag(state.commits + 1),
        waiting=waiting["generate"],
        unclassified=max(0, unclassified - waiting["classify"]),
        without_instances=max(0, without_instances - waiting["instances"]),
        so_far=state.ledger.spent,
        quotation=quotation_for(config),
        assumptions=observed.inform(assumed(run)),
    )
