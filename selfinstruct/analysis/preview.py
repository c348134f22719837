"""One request of each stage, its real reply and what follows from it: to be looked at before money is spent.

Plans, reads and judges with the functions that a run does this with, on a copy of its state; writes nothing.

    async for step in preview(planned_run(None, settings), backend=backend):
        …   # Asked(generate/000001), Answered(…), Asked(classify/task_000001), Answered(…), …

A probe does the same with several requests of each stage, for an estimate: it wants what happened, not why.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Literal, TypeVar

from selfinstruct.analysis.explain.results import MEANING
from selfinstruct.backend import Backend
from selfinstruct.events import (
    Classified,
    Committed,
    CompletionReceived,
    Decision,
    Event,
    InstancesWritten,
    received,
)
from selfinstruct.pipeline.decide import classified, commit, instances_written
from selfinstruct.pipeline.parse.types import pair_text
from selfinstruct.pipeline.plan import generation_request, is_plannable, task_request
from selfinstruct.pipeline.pool import Pool
from selfinstruct.pipeline.state import apply
from selfinstruct.records import (
    Answer,
    Completion,
    Instance,
    Reason,
    Rejection,
    Request,
    Task,
)
from selfinstruct.records.ids import in_reply_order, item_number
from selfinstruct.runner.directory import Run

T = TypeVar("T")


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
    events: tuple[Event, ...] = ()
    """The same as a journal would have it."""


Step = Asked | Answered


async def preview(run: Run, *, backend: Backend) -> AsyncIterator[Step]:
    """Ask what the run would ask next, then about the first task that the reply brings.

    Where it brings none, about the first seed task. The run's state is moved on. Raises BackendError.
    """
    state, config = run.state, run.config
    request = generation_request(state, config, run.recipe, run.templates, state.commits + 1)
    yield Asked(request=request)
    outcome = received(request, await backend.complete(request))
    committed = _commit(run, outcome)
    yield _answered(request, outcome, committed, state.pool)
    if not run.recipe.has_task_stages:
        return
    task = _first(committed, state.pool)
    while not task.is_final:
        request = task_request(state, config, run.templates, task)
        yield Asked(request=request, task=task)
        outcome = received(request, await backend.complete(request))
        yield _answered(request, outcome, _decide(run, task, outcome), state.pool)
        task = state.pool.by_id(task.id)


async def probe(run: Run, *, backend: Backend, count: int, record: Callable[[Event], None]) -> None:
    """Send the next `count` requests for new instructions, then ask about as many of the tasks they bring.

    Where they bring fewer, seed tasks fill up. Several requests are under way at a time, as in a run;
    `record` is called with every event as soon as it is known. The run's state is moved on. Raises
    BackendError.
    """
    slots = asyncio.Semaphore(run.config.max_concurrency)

    async def ask(request: Request) -> CompletionReceived:
        async with slots:
            outcome = received(request, await backend.complete(request))
        record(outcome)
        return outcome

    accepted: list[Task] = []
    first = run.state.commits + 1
    numbers = range(first, first + count)
    while numbers:
        plannable = takewhile(lambda k: is_plannable(run.state, run.config, k), numbers)
        now = len(list(plannable)) or 1
        requests = (
            generation_request(run.state, run.config, run.recipe, run.templates, number)
            for number in numbers[:now]
        )
        for outcome in await _all(ask(request) for request in requests):
            committed = _commit(run, outcome)
            record(committed)
            accepted += [run.state.pool.by_id(task.task_id) for task in committed.accepted]
        numbers = numbers[now:]
    if not run.recipe.has_task_stages:
        return

    async def ask_about(task: Task) -> None:
        while not task.is_final:
            request = task_request(run.state, run.config, run.templates, task)
            record(_decide(run, task, await ask(request)))
            task = run.state.pool.by_id(task.id)

    tasks = accepted[:count]
    fillers = min(count - len(tasks), run.state.pool.seed_count)
    tasks += [_as_new(run.state.pool, place) for place in range(fillers)]
    await _all(ask_about(task) for task in tasks)


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; the first error ends the others."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _commit(run: Run, outcome: CompletionReceived) -> Committed:
    """Decide a list of new instructions, and fold both in."""
    run.state.waiting.pop(outcome.request_id, None)  # where a run was killed before it could decide
    committed = commit(run.state, run.config, outcome)
    apply(run.state, outcome)
    apply(run.state, committed)
    return committed


def _decide(run: Run, task: Task, outcome: CompletionReceived) -> Decision:
    """Decide what was said about a task, and fold both in."""
    run.state.waiting.pop(outcome.request_id, None)
    decide = classified if outcome.stage == "classify" else instances_written
    decision = decide(run.state, run.config, task.id, outcome)
    apply(run.state, outcome)
    apply(run.state, decision)
    return decision


def _first(committed: Committed, pool: Pool) -> Task:
    """The task to go on with: the first one accepted, or the first seed task as if it were new."""
    if committed.accepted:
        return pool.by_id(committed.accepted[0].task_id)
    return _as_new(pool, 0)


def _as_new(pool: Pool, place: int) -> Task:
    """A seed task as if it were new."""
    task = replace(pool[place], is_classification=None, instances=None)
    pool.replace(task)
    return task


def _answered(
    request: Request, outcome: CompletionReceived, decision: Decision, pool: Pool
) -> Answered:
    completion, events = outcome.completion, (outcome, decision)
    if isinstance(decision, Classified):
        return Answered(
            request=request,
            completion=completion,
            answer=decision.answer,
            is_classification=decision.is_classification,
            events=events,
        )
    found = _candidates(decision, pool) if isinstance(decision, Committed) else _instances(decision)
    return Answered(request=request, completion=completion, items=tuple(found), events=events)


def _candidates(decision: Committed, pool: Pool) -> Iterator[Item]:
    for item in decision.items:
        if isinstance(item, Rejection):
            yield _rejected(item, pool)
            continue
        yield Item(
            number=item_number(item.candidate_id),
            verdict="accepted",
            text=item.instruction,
            instance=item.instance,
        )


def _instances(decision: InstancesWritten) -> Iterator[Item]:
    for number, item in in_reply_order(decision.instances, decision.rejected):
        if isinstance(item, Rejection):
            yield _rejected(item)
        else:
            yield Item(number=number, verdict="accepted", text=pair_text(item), instance=item)


def _rejected(rejection: Rejection, pool: Pool | None = None) -> Item:
    near = rejection.nearest
    return Item(
        number=item_number(rejection.candidate_id),
        verdict="rejected",
        text=rejection.text,
        reason=rejection.reason,
        meaning=MEANING[rejection.reason],
        nearest=(near.task_id, near.rouge_l, pool.by_id(near.task_id).instruction)
        if near is not None and pool is not None
        else None,
    )
