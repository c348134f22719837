"""One request of each stage, its real reply and what follows from it: to be looked at before money is spent.

Plans, reads and judges with the functions that a run does this with, on a copy of its state; writes nothing.

    async for step in preview(foresee_run(None, settings), backend=backend):
        …   # Asked(generate/000001), Answered(…), Asked(classify/task_000001), Answered(…), …
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from selfinstruct.backend import Backend
from selfinstruct.decide import classified, commit, instances_written
from selfinstruct.events import (
    Accepted,
    Classified,
    Committed,
    Decision,
    InstancesWritten,
    received,
)
from selfinstruct.explain.fates import MEANING
from selfinstruct.parse.found import pair_text
from selfinstruct.plan import generation_request, task_request
from selfinstruct.pool import Pool
from selfinstruct.records import (
    Answer,
    Completion,
    Instance,
    Reason,
    Rejection,
    Request,
    Task,
)
from selfinstruct.run_directory import Run
from selfinstruct.state import apply


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that is about to be sent."""

    request: Request
    task: Task | None = None
    """The task that it is about; None where it asks for new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A candidate or an instance that was found in a reply, or the whole reply, and what became of it."""

    number: int
    """Place in the reply, from 1; 0 for the whole reply."""
    verdict: Literal["accepted", "rejected"]
    text: str
    instance: Instance | None = None
    """Of what was accepted: its input and output, where the reply holds them."""
    reason: Reason | None = None
    meaning: str = ""
    """What the reason says, in a sentence."""
    nearest: tuple[str, float, str] | None = None
    """Of what is not novel: id, ROUGE-L and instruction of a task that is over the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The reply to the request before it, and what follows from it."""

    request: Request
    completion: Completion
    answer: Answer | None = None
    """What the reply says to "Is it a classification task?"; None where that was not asked."""
    is_classification: bool | None = None
    """What the answer counts as; None where that was not asked, or is asked once more."""
    items: tuple[Item, ...] = ()


Step = Asked | Answered


async def preview(run: Run, *, backend: Backend) -> AsyncIterator[Step]:
    """Ask what the run would ask next, then about the first task that the reply brings.

    Where it brings none, about the first seed task. The run's state is moved on. Raises BackendError.
    """
    state, config = run.state, run.config
    request = generation_request(state, config, run.recipe, run.templates, state.commits + 1)
    yield Asked(request=request)
    state.waiting.pop(request.id, None)  # where a run was killed before it could decide
    outcome = received(request, await backend.complete(request))
    committed = commit(state, config, outcome)
    apply(state, outcome)
    apply(state, committed)
    yield _answered(request, outcome.completion, committed, state.pool)
    if not run.recipe.has_task_stages:
        return
    task = _first(committed, state.pool)
    while not task.is_final:
        request = task_request(state, config, run.templates, task)
        yield Asked(request=request, task=task)
        state.waiting.pop(request.id, None)
        outcome = received(request, await backend.complete(request))
        decide = classified if request.stage == "classify" else instances_written
        decision = decide(state, config, task.id, outcome)
        apply(state, outcome)
        apply(state, decision)
        yield _answered(request, outcome.completion, decision, state.pool)
        task = state.pool.by_id(task.id)


def _first(committed: Committed, pool: Pool) -> Task:
    """The task to go on with: the first one accepted, or the first seed task as if it were new."""
    if committed.accepted:
        return pool.by_id(committed.accepted[0].task_id)
    task = replace(pool[0], is_classification=None, instances=None)
    pool.replace(task)
    return task


def _answered(request: Request, completion: Completion, decision: Decision, pool: Pool) -> Answered:
    if isinstance(decision, Classified):
        return Answered(
            request=request,
            completion=completion,
            answer=decision.answer,
            is_classification=decision.is_classification,
        )
    found = _candidates(decision, pool) if isinstance(decision, Committed) else _instances(decision)
    return Answered(request=request, completion=completion, items=tuple(found))


def _candidates(decision: Committed, pool: Pool) -> Iterator[Item]:
    verdicts: tuple[Accepted | Rejection, ...] = (*decision.accepted, *decision.rejected)
    for verdict in sorted(verdicts, key=lambda verdict: _number(verdict.candidate_id)):
        if isinstance(verdict, Rejection):
            yield _rejected(verdict, pool)
            continue
        yield Item(
            number=_number(verdict.candidate_id),
            verdict="accepted",
            text=verdict.instruction,
            instance=verdict.instance,
        )


def _instances(decision: InstancesWritten) -> Iterator[Item]:
    rejected = {_number(rejection.candidate_id): rejection for rejection in decision.rejected}
    if 0 in rejected:
        yield _rejected(rejected[0])
        return
    # What is kept has no number of its own: those that no rejection has, in order.
    kept = iter(decision.instances)
    for number in range(1, len(decision.instances) + len(rejected) + 1):
        if number in rejected:
            yield _rejected(rejected[number])
            continue
        instance = next(kept)
        yield Item(number=number, verdict="accepted", text=pair_text(instance), instance=instance)


def _rejected(rejection: Rejection, pool: Pool | None = None) -> Item:
    near = rejection.nearest
    return Item(
        number=_number(rejection.candidate_id),
        verdict="rejected",
        text=rejection.text,
        reason=rejection.reason,
        meaning=MEANING[rejection.reason],
        nearest=(near.task_id, near.rouge_l, pool.by_id(near.task_id).instruction)
        if near is not None and pool is not None
        else None,
    )


def _number(candidate_id: str) -> int:
    """The n of `<request id>#<n>`."""
    return int(candidate_id.rpartition("#")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run would take if all its replies were like those that were looked at."""

    requests: int
    prompt_tokens: int
    completion_tokens: int


def estimate(answered: Sequence[Answered], *, missing: int) -> Estimate | None:
    """What the missing instructions take, going by one reply of each stage; None where they do not tell."""
    accepted = sum(
        item.verdict == "accepted"
        for step in answered
        if step.request.stage == "generate"
        for item in step.items
    )
    if missing <= 0 or not accepted:
        return None
    total = Estimate(requests=0, prompt_tokens=0, completion_tokens=0)
    for step in answered:
        usage = step.completion.usage
        if usage is None:
            return None
        if step.request.id.endswith("/again"):
            continue  # which is asked of few
        count = -(-missing // accepted) if step.request.stage == "generate" else missing
        total = Estimate(
            requests=total.requests + count,
            prompt_tokens=total.prompt_tokens + count * usage.prompt_tokens,
            completion_tokens=total.completion_tokens + count * usage.completion_tokens,
        )
    return total
