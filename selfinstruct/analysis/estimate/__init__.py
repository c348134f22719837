"""Estimate the requests, tokens, dollars and hours that a run will need, each with a range.

Measurements from an existing run's replies, or from a probe, replace the general assumptions about models.

    estimate_of(planned_run(None, {"model": "gpt-5.4-mini", "num_instructions": 1000})).left_usd
    → Range(low=Decimal("0.49"), expected=Decimal("0.77"), high=Decimal("1.38"))
"""

from collections import Counter

from selfinstruct.analysis.estimate.assumptions import assumed
from selfinstruct.analysis.estimate.forecast import Basis, forecast
from selfinstruct.analysis.estimate.measured import informed
from selfinstruct.analysis.estimate.results import Estimate
from selfinstruct.budget.prices import quotation_for
from selfinstruct.pipeline.timeline import Timeline
from selfinstruct.runner.directory import Run


def estimate_of(run: Run, timeline: Timeline | None = None) -> Estimate:
    """Return the estimate for the rest of a run.

    Measurements of the replies in `timeline`, by default the run's own timeline, replace general
    assumptions. Raises ConfigError if only a part of the price is set.
    """
    return forecast(basis_of(run, timeline))


def basis_of(run: Run, timeline: Timeline | None = None) -> Basis:
    """Return the inputs for the estimate of a run; see `estimate_of`."""
    state, config = run.state, run.config
    waiting = Counter(request_id.partition("/")[0] for request_id in state.waiting)
    unfinished = [task for task in state.pool.generated if not task.is_final]
    return Basis(
        config=config,
        seed_tasks=state.pool.seed_count,
        accepted=state.accepted,
        waiting=waiting["generate"],
        open_tasks={
            stage.name: max(0, sum(map(stage.is_open, unfinished)) - waiting[stage.name])
            for stage in run.recipe.task_stages
        },
        so_far=state.ledger.spent,
        quotation=quotation_for(config),
        assumptions=informed(assumed(run), timeline or state.timeline, state.pool_sizes[0]),
    )
