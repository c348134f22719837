"""Numbers of a run, all of them counts of events.

requests → candidates → rejected by reason → accepted (and those imported) → with instances → rows
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from selfinstruct.cost import Consumption, ExpectedUse
from selfinstruct.pipeline.marginal_cost import MarginalCost, marginal_cost
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Reason, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStep:
    """The replies that were decided while the pool had `smallest` to `largest` tasks, seed tasks included."""

    smallest: int
    largest: int
    candidates: int
    accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """The funnel of a run. Conservation: imported + candidates = accepted + Σ rejected."""

    requests: Mapping[Stage, int]
    """Requests with an outcome, by stage."""
    failed: Mapping[Stage, int]
    """Of these, refused by the endpoint or given up."""
    commits: int
    """Generation requests decided. The outcomes of further ones may be waiting."""
    candidates: int
    """Items of the committed replies; a reply without a list counts as one."""
    rejected: Mapping[Reason, int]
    """Candidates by reason, most frequent first."""
    accepted: int
    """Instructions accepted, those imported included, seed tasks not counted."""
    imported: int
    """Those of them that were there before the run."""
    open: int
    """Accepted instructions whose kind or instances are still to be asked for."""
    never_asked: int
    """The same in a run that was refiltered, where nothing is asked any more."""
    classification: int
    """Accepted instructions that are classification tasks."""
    unclear_kinds: int
    """Accepted instructions of which the model did not clearly say."""
    with_instances: int
    """Accepted instructions with at least one instance."""
    instances_rejected: Mapping[Reason, int]
    """Instances that could not be used, by reason, most frequent first."""
    rows: int
    """Instances in all: rows of an export."""
    prompt_tokens: int
    completion_tokens: int
    by_pool_size: tuple[PoolStep, ...]
    """Candidates, and accepted candidates, by the size of the pool before their reply."""
    spent: Consumption
    """Attempts and tokens in all, also of replies that were never heard of."""
    unheard: Consumption
    """The part of it that counts at its bound, since nobody said what was consumed."""
    marginal_cost: MarginalCost
    """What it cost, and what the next instructions will."""
    expected_use: ExpectedUse | None = None
    """What was expected, of a run that reached a target that somebody had made an estimate for."""

    @property
    def grown(self) -> int:
        """Instructions accepted of this run's own candidates."""
        return self.accepted - self.imported

    @property
    def cost_usd(self) -> Decimal | None:
        """US dollars in all; None where no price is known."""
        return self.marginal_cost.cost_usd

    def as_json(self) -> dict[str, Any]:
        """The same as JSON can hold it; money as a number, rounded to a millionth of a dollar."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain | {"cost_usd": plain["marginal_cost"]["cost_usd"]}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in value]
    return round(float(value), 6) if isinstance(value, Decimal) else value


def summarize(state: RunState) -> RunSummary:
    """Count what the state holds."""
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
        imported=state.imported,
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
    """The estimate for the largest target that is reached, with nothing left open."""
    reached = [target for target in state.expected_use if target <= state.accepted]
    return state.expected_use[max(reached)] if reached and not state.open_tasks else None


def _by_pool_size(state: RunState) -> tuple[PoolStep, ...]:
    first, steps = state.pool_sizes[0], []
    bottom = step(first)
    while bottom <= len(state.pool):
        top = next_step(bottom)
        stretch = state.timeline.stretch(max(0, bottom - first), top - first)
        if stretch.candidates:
            steps.append(
                PoolStep(
                    smallest=max(bottom, first),
                    largest=min(top - 1, len(state.pool)),
                    candidates=stretch.candidates,
                    accepted=stretch.accepted,
                )
            )
        bottom = top
    return tuple(steps)


def step(size: int) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50, … that is at most `size`."""
    power: int = 10 ** (len(str(size)) - 1)
    return max(n * power for n in (1, 2, 5) if n * power <= max(size, 1))


def next_step(bottom: int) -> int:
    """Return the number after `bottom` in 1, 2, 5, 10, 20, 50, …."""
    return bottom * 5 // 2 if str(bottom).startswith("2") else bottom * 2
