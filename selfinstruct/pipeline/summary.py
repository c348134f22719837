"""A run's summary, derived from the events in its journal.

requests → candidates → rejected by reason → accepted (plus imported) → with instances → rows
"""

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from selfinstruct.cost import Consumption, ExpectedUse
from selfinstruct.display import dollars
from selfinstruct.pipeline.marginal_cost import MarginalCost, marginal_cost
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Reason, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStep:
    """Counts of the candidates that were compared with pools of similar size. Sizes include seed tasks."""

    smallest: int
    """Smallest pool size in this step."""
    largest: int
    """Largest pool size in this step."""
    candidates: int
    accepted: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunSummary:
    """Counts of a run. They satisfy imported + candidates = accepted + Σ rejected."""

    requests: Mapping[Stage, int]
    """Number of requests with an outcome, by stage."""
    failed: Mapping[Stage, int]
    """Number of requests that the endpoint refused or that were given up, by stage."""
    commits: int
    """Number of generation requests that have been decided on. Later requests may have undecided outcomes."""
    candidates: int
    """Number of items in the committed replies. A reply without a list counts as one item."""
    rejected: Mapping[Reason, int]
    """Number of rejected candidates by reason, most frequent reason first."""
    accepted: int
    """Number of accepted and imported instructions, without seed tasks."""
    imported: int
    """Number of imported instructions."""
    open: int
    """Number of accepted instructions that still need a classification or instances."""
    never_asked: int
    """Number of accepted instructions in a refiltered run that lack a classification or instances. They never
    get them, because a refiltered run sends no requests."""
    classification: int
    """Number of accepted instructions that are classification tasks."""
    unclear_kinds: int
    """Number of accepted instructions for which the model gave no clear answer to the classification
    question."""
    with_instances: int
    """Number of accepted instructions with at least one instance."""
    instances_rejected: Mapping[Reason, int]
    """Number of rejected instances by reason, most frequent reason first."""
    rows: int
    """Number of accepted instances. Each of them becomes a row in an export."""
    prompt_tokens: int
    """Number of prompt tokens in all requests that got a reply, as counted by the endpoint."""
    completion_tokens: int
    """Number of completion tokens in all replies, as counted by the endpoint."""
    by_pool_size: tuple[PoolStep, ...]
    """Counts of candidates and accepted candidates, by the size of the pool before their reply."""
    spent: Consumption
    """Attempts and tokens that the run has used, including attempts whose outcome is unknown."""
    unheard: Consumption
    """The part of `spent` that belongs to attempts whose consumption is unknown, counted at its upper
    bound."""
    marginal_cost: MarginalCost
    """Cost so far, and expected cost of the next instructions."""
    expected_use: ExpectedUse | None = None
    """Estimated consumption for the largest target that was reached and had an estimate; None if there is
    none."""

    def __repr__(self) -> str:
        cost = "" if self.cost_usd is None else f", {dollars(self.cost_usd)}"
        return (
            f"<RunSummary: {self.accepted:,} instructions, {self.rows:,} rows, "
            f"{sum(self.rejected.values()):,} rejected{cost}>"
        )

    @property
    def grown(self) -> int:
        """Number of accepted instructions that were not imported."""
        return self.accepted - self.imported

    @property
    def cost_usd(self) -> Decimal | None:
        """Cost in US dollars; None if the price is unknown."""
        return self.marginal_cost.cost_usd

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values. Amounts in dollars are numbers, rounded to six decimals."""
        text = json.dumps(asdict(self), default=lambda dollars: round(float(dollars), 6))
        plain: dict[str, Any] = json.loads(text)
        return plain | {"cost_usd": plain["marginal_cost"]["cost_usd"]}


def summarize(state: RunState) -> RunSummary:
    """Return the summary of a run from its state."""
    generated = state.pool.generated
    counts = state.counts
    is_refiltered = state.source is not None
    return RunSummary(
        requests=dict(counts.requests),
        failed=dict(counts.failed),
        commits=state.commits,
        candidates=state.grown + counts.rejected.total(),
        rejected=dict(counts.rejected.most_common()),
        accepted=state.accepted,
        imported=state.counts.imported,
        open=0 if is_refiltered else state.open_tasks,
        never_asked=state.open_tasks if is_refiltered else 0,
        classification=sum(1 for task in generated if task.is_classification),
        unclear_kinds=counts.unclear_kinds,
        with_instances=counts.with_instances,
        instances_rejected=dict(counts.instances_rejected.most_common()),
        rows=counts.rows,
        prompt_tokens=counts.prompt_tokens,
        completion_tokens=counts.completion_tokens,
        by_pool_size=_by_pool_size(state),
        spent=state.ledger.spent,
        unheard=state.ledger.unheard,
        marginal_cost=marginal_cost(state),
        expected_use=_expected_use(state),
    )


def _expected_use(state: RunState) -> ExpectedUse | None:
    """Return the estimate for the largest target reached; None without one, or while tasks are open."""
    reached = [target for target in state.expected_use if target <= state.accepted]
    return state.expected_use[max(reached)] if reached and not state.open_tasks else None


def _by_pool_size(state: RunState) -> tuple[PoolStep, ...]:
    first, last, steps = state.pool_sizes[0], len(state.pool), []
    for bottom, top in pairwise(sizes_to(last)):
        stretch = state.timeline.stretch(max(0, bottom - first), top - first)
        if stretch.candidates:
            steps.append(
                PoolStep(
                    smallest=max(bottom, first),
                    largest=min(top - 1, last),
                    candidates=stretch.candidates,
                    accepted=stretch.accepted,
                )
            )
    return tuple(steps)


def sizes_to(size: int) -> list[int]:
    """Return the numbers 1, 2, 5, 10, 20, 50, … up to the first one that is greater than `size`."""
    sizes = [n * 10**power for power in range(len(str(size)) + 1) for n in (1, 2, 5)]
    return sizes[: bisect_right(sizes, size) + 1]
