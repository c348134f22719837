"""Send one request of each stage and show the reply and its result, before the run spends much money.

Requests are planned, and replies are parsed and decided, by the same functions as in a run, on a copy of its
state. Nothing is written.

    async for step in preview(planned_run(None, settings), backend=backend):
        …   # Step(generate/000001), the same Step with its reply, Step(classify/task_000001), …

`probe` sends several requests of each stage, as the basis for an estimate.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Literal, TypeVar

from selfinstruct.analysis.verdict import verdict
from selfinstruct.backend import Backend
from selfinstruct.journal_events import (
    Accepted,
    Classified,
    Committed,
    CompletionReceived,
    Decision,
    InstancesWritten,
    received,
)
from selfinstruct.pipeline.decide import commit
from selfinstruct.pipeline.plan import generation_request, is_plannable, task_request
from selfinstruct.pipeline.pool import Pool
from selfinstruct.pipeline.state import apply, forget_undecided
from selfinstruct.records import Answer, Completion, Instance, Reason, Rejection, Request, Task
from selfinstruct.records.ids import in_reply_order, item_number
from selfinstruct.runner.directory import Run

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SimilarTask:
    """A task in the pool and its similarity to a candidate."""

    task_id: str
    rouge_l: float
    instruction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A candidate or an instance in a reply, or the whole reply, and the decision on it."""

    number: int
    """The item's position in the reply, counting from 1; 0 for the whole reply."""
    outcome: Literal["accepted", "rejected"]
    text: str
    instance: Instance | None = None
    """Input and output of an accepted item; None if the reply does not contain them."""
    reason: Reason | None = None
    meaning: str = ""
    """The reason as a sentence; "" for an accepted item."""
    nearest: SimilarTask | None = None
    """A task whose similarity is over the threshold; None unless the candidate is not novel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A request that is about to be sent, or a request with its reply and the result."""

    request: Request
    task: Task | None = None
    """The task that the request asks about; None for a generation request."""
    completion: Completion | None = None
    """The reply; None if the request was not sent yet."""
    answer: Answer | None = None
    """The answer to a classification request; None in other stages."""
    is_classification: bool | None = None
    """True if the answer makes the task a classification task.

    None in other stages, and if the question will be asked again.
    """
    items: tuple[Item, ...] = ()


async def preview(run: Run, *, backend: Backend) -> AsyncIterator[Step]:
    """Send the next generation request, then the requests about the first task accepted from its reply.

    If no task is accepted, the first seed task is used instead. Yields each request before it is sent, and
    again with its reply. Changes the run's state. Raises BackendError.
    """
    state, config = run.state, run.config
    forget_undecided(state)
    request = generation_request(state, config, run.templates, state.commits + 1)
    step = Step(request=request)
    yield step
    outcome = await _send(run, request, backend)
    committed = _commit(run, outcome)
    yield _answered(step, outcome, committed, state.pool)
    if not run.recipe.asks_about_tasks:
        return
    accepted = committed.accepted
    task = state.pool.by_id(accepted[0].task_id) if accepted else _as_new(state.pool, 0)
    while not task.is_final:
        request = task_request(state, config, run.templates, task)
        step = Step(request=request, task=task)
        yield step
        outcome = await _send(run, request, backend)
        yield _answered(step, outcome, _decide(run, task, outcome), state.pool)
        task = state.pool.by_id(task.id)


async def probe(run: Run, *, backend: Backend, count: int) -> None:
    """Send the next `count` generation requests, then the requests about up to `count` accepted tasks.

    If fewer tasks are accepted, seed tasks are used instead. As in a run, several requests are in flight at
    the same time. The replies are recorded in the timeline of the run's state. Raises BackendError.
    """
    forget_undecided(run.state)
    slots = asyncio.Semaphore(run.config.max_concurrency)

    async def send(request: Request) -> CompletionReceived:
        async with slots:
            return await _send(run, request, backend)

    accepted: list[Task] = []
    first = run.state.commits + 1
    numbers = range(first, first + count)
    while numbers:
        plannable = takewhile(lambda k: is_plannable(run.state, run.config, k), numbers)
        now = len(list(plannable)) or 1
        requests = (
            generation_request(run.state, run.config, run.templates, number)
            for number in numbers[:now]
        )
        for outcome in await _all(send(request) for request in requests):
            committed = _commit(run, outcome)
            accepted += [run.state.pool.by_id(task.task_id) for task in committed.accepted]
        numbers = numbers[now:]
    if not run.recipe.asks_about_tasks:
        return

    async def finish(task: Task) -> None:
        while not task.is_final:
            request = task_request(run.state, run.config, run.templates, task)
            _decide(run, task, await send(request))
            task = run.state.pool.by_id(task.id)

    tasks = accepted[:count]
    fillers = min(count - len(tasks), run.state.pool.seed_count)
    tasks += [_as_new(run.state.pool, place) for place in range(fillers)]
    await _all(finish(task) for task in tasks)


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all calls and return their results. The first error cancels the other calls."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(run: Run, request: Request, backend: Backend) -> CompletionReceived:
    """Send a request, apply its reply to the run's state, and return the reply."""
    outcome = received(request, await backend.complete(request))
    apply(run.state, outcome)
    return outcome


def _commit(run: Run, outcome: CompletionReceived) -> Committed:
    committed = commit(run.state, run.config, outcome)
    apply(run.state, committed)
    return committed


def _decide(run: Run, task: Task, outcome: CompletionReceived) -> Decision:
    decision = run.recipe.next_stage(task).decide(run.state, run.config, outcome)
    apply(run.state, decision)
    return decision


def _as_new(pool: Pool, place: int) -> Task:
    """Return a seed task without its classification and instances, so that requests about it are planned."""
    pool.update(pool[place].id, is_classification=None, instances=None)
    return pool[place]


def _answered(step: Step, outcome: CompletionReceived, decision: Decision, pool: Pool) -> Step:
    step = replace(step, completion=outcome.completion)
    if isinstance(decision, Classified):
        kind = decision.is_classification
        return replace(step, answer=decision.answer, is_classification=kind)
    return replace(step, items=tuple(_items(decision, pool)))


def _items(decision: Committed | InstancesWritten, pool: Pool) -> Iterator[Item]:
    numbered: Iterable[tuple[int, Accepted | Instance | Rejection]]
    if isinstance(decision, Committed):
        numbered = ((item_number(item.candidate_id), item) for item in decision.items)
    else:
        numbered = in_reply_order(decision.instances, decision.rejected)
    for number, item in numbered:
        near = item.nearest if isinstance(item, Rejection) else None
        instance = item.instance if isinstance(item, Accepted) else item
        yield Item(
            number=number,
            **verdict(item),
            instance=instance if isinstance(instance, Instance) else None,
            nearest=SimilarTask(near.task_id, near.rouge_l, pool.by_id(near.task_id).instruction)
            if near is not None
            else None,
        )
