"""The state of a run, computed from its journal event by event.

A running process and a resumed one use the same `apply`, so both reach the same state. `plan` uses the state
to plan requests, `decide` uses it to make decisions.

    state = initial(config, seed_tasks)
    for event in journal.replay():
        apply(state, event)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from sys import intern

from selfinstruct.budget.ledger import Ledger
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption, ExpectedUse, Price, consumed
from selfinstruct.events import (
    Accepted,
    Classified,
    Committed,
    CompletionReceived,
    Event,
    ImportedFile,
    InstancesWritten,
    Outcome,
    RefilteredFrom,
    Released,
    RequestFailed,
    Reserved,
    RunFinished,
    RunStarted,
    SourceTask,
    TaskImported,
)
from selfinstruct.pipeline.counts import Counts
from selfinstruct.pipeline.filters import scripts_of
from selfinstruct.pipeline.novelty import NoveltyIndex
from selfinstruct.pipeline.pool import Pool
from selfinstruct.pipeline.timeline import Timeline
from selfinstruct.records import Provenance, Reason, Rejection, SeedTask, Task, Usage
from selfinstruct.records.ids import classification_id, generation_id, instances_id, item_number


@dataclass(kw_only=True)
class RunState:
    """The state of a run. Only `apply` changes it."""

    pool: Pool
    index: NoveltyIndex
    """The pool's instructions, in the pool's order."""
    pool_sizes: list[int]
    """Length of the pool after each commit. Entry 0 counts the seed tasks and the imported tasks."""
    scripts: frozenset[str]
    """Scripts of the seed tasks and the imported tasks."""
    waiting: dict[str, Outcome] = field(default_factory=dict)
    """Outcomes without a decision, by request id."""
    unclear_once: set[str] = field(default_factory=set)
    """Ids of tasks with one unclear answer to the classification question, waiting for a second answer."""
    counts: Counts = field(default_factory=Counts)
    ledger: Ledger = field(default_factory=Ledger)
    timeline: Timeline = field(default_factory=Timeline)
    price: Price | None = None
    """Price of the model in the last process. All costs of the run use this price."""
    expected_use: dict[int, ExpectedUse] = field(default_factory=dict)
    """First estimate for each target, by target."""
    last_not_novel: Rejection | None = None
    """The latest rejection for lack of novelty."""
    keeps_instances: bool = True
    """True if finished tasks keep their instances. A run needs the texts only if demonstrations show
    instances. If not, finished tasks have () and the texts remain in the journal."""
    source: RefilteredFrom | None = None
    """The run whose replies a refiltered run uses. A refiltered run sends no requests."""
    source_tasks: dict[str, str] = field(default_factory=dict)
    """Instructions of tasks that only the source run has, by their id in this run."""
    imports: list[ImportedFile] = field(default_factory=list)
    """The imported files."""
    programs: list[str] = field(default_factory=list)
    """Versions of selfinstruct that the run has used, oldest use first."""
    finished: RunFinished | None = None
    """The end of the last process; None during a run or after a crash."""

    @property
    def commits(self) -> int:
        """Number of the last committed generation request."""
        return len(self.pool_sizes) - 1

    @property
    def accepted(self) -> int:
        """Number of accepted and imported tasks, without seed tasks."""
        return len(self.pool) - self.pool.seed_count

    @property
    def imported(self) -> int:
        """Number of imported tasks."""
        return self.counts.imported

    @property
    def grown(self) -> int:
        """Number of tasks accepted from this run's own candidates."""
        return self.accepted - self.counts.imported

    @property
    def missing_imports(self) -> int:
        """Number of tasks that the imported files announce and the journal does not have yet."""
        return sum(file.tasks for file in self.imports) - self.counts.imported

    @property
    def open_tasks(self) -> int:
        """Number of accepted and imported tasks that need more requests."""
        return self.accepted - self.counts.finished_tasks

    def instruction(self, task_id: str) -> str:
        """Return the instruction of a task in the pool or in the source run. Raises KeyError."""
        text = self.source_tasks.get(task_id)
        return self.pool.by_id(task_id).instruction if text is None else text


def initial(
    config: RunConfig, seed_tasks: Sequence[SeedTask], *, keeps_instances: bool = True
) -> RunState:
    """Return the state before the first event. See `RunState` for `keeps_instances`."""
    pool = Pool(seed_tasks)
    return RunState(
        pool=pool,
        index=NoveltyIndex(config.threshold, config.tokenizer, (t.instruction for t in pool)),
        pool_sizes=[len(pool)],
        scripts=scripts_of([task.instruction for task in pool]),
        keeps_instances=keeps_instances,
    )


def forget_undecided(state: RunState) -> None:
    """Drop replies that a killed run left without a decision, so that a copy of its state can ask again."""
    state.waiting.clear()


def apply(state: RunState, event: Event) -> RunState:
    """Apply an event to the state in place, and return the state.

    Raises ValueError for an event that is impossible in this state, such as a commit out of order.
    """
    match event:
        case RunStarted():
            program = event.versions.get("selfinstruct")
            if program is not None and program not in state.programs:
                state.programs.append(program)
            state.finished = None
            state.price = event.price
            if event.expected_use is not None:
                state.expected_use.setdefault(event.expected_use.target, event.expected_use)
            state.ledger.give_all_up()
        case Reserved():
            if min(event.prompt_tokens, event.completion_tokens) < 0:
                raise ValueError(f"{event.request_id} cannot consume less than nothing")
            maximum = Consumption(
                requests=1,
                prompt_tokens=event.prompt_tokens,
                completion_tokens=event.completion_tokens,
            )
            state.ledger.reserve(event.request_id, maximum, replaces=event.replaces)
        case Released():
            state.ledger.release(event.request_id)
        case CompletionReceived() | RequestFailed():
            if event.request_id in state.waiting:
                raise ValueError(f"{event.request_id} has an outcome already")
            state.waiting[event.request_id] = event
            _count_outcome(state, event)
        case Committed():
            _commit(state, event)
        case Classified():
            _classify(state, event)
        case InstancesWritten():
            state.waiting.pop(instances_id(event.task_id))
            task = state.pool.by_id(event.task_id)
            kept = event.instances if state.keeps_instances else ()
            state.pool.replace(replace(task, instances=kept))
            state.counts.finish_task(len(event.instances))
            state.counts.instances_rejected.update(r.reason for r in event.rejected)
        case RefilteredFrom():
            state.source = event
        case SourceTask():
            state.source_tasks[event.task_id] = event.instruction
        case ImportedFile():
            _require_nothing_asked(state, event.name)
            state.imports.append(event)
        case TaskImported():
            _require_nothing_asked(state, event.task_id)
            _import(state, event)
        case RunFinished():
            state.finished = event
            state.ledger.give_all_up()
    return state


def _require_nothing_asked(state: RunState, what: str) -> None:
    if state.counts.requests or state.commits:
        raise ValueError(f"{what} cannot be imported after the first request")


def _import(state: RunState, event: TaskImported) -> None:
    if not state.missing_imports:
        raise ValueError(f"{event.task_id} comes from no imported file")
    kept = event.instances if state.keeps_instances else ()
    is_whole, kind = event.instances is not None, event.is_classification
    state.pool.add(
        Task(
            id=event.task_id,
            instruction=event.instruction,
            origin="imported",
            is_classification=kind,
            classification_answer=event.answer if kind is not None else None,
            instances=kept if is_whole else None,
            imported_model=intern(event.model) if event.model is not None else None,
        )
    )
    state.index.add(event.instruction)
    state.pool_sizes[0] += 1
    counts = state.counts
    counts.imported += 1
    counts.imported_whole += is_whole
    counts.imported_kinds += kind is not None and not is_whole
    counts.unclear_kinds += kind is not None and event.answer == "unclear"
    counts.instances_rejected.update(r.reason for r in event.rejected)
    if event.instances is not None:
        counts.finish_task(len(event.instances))
    if not state.missing_imports:
        # Imported tasks become demonstrations, so their scripts count.
        state.scripts = scripts_of([task.instruction for task in state.pool])


def _count_outcome(state: RunState, event: Outcome) -> None:
    if state.missing_imports:
        raise ValueError(f"{state.missing_imports:,} of the imported tasks are missing")
    _require_possible(state, event)
    counts = state.counts
    counts.requests[event.stage] += 1
    if isinstance(event, RequestFailed):
        counts.failed[event.stage] += 1
        state.ledger.give_up(event.request_id)
        return
    completion = event.completion
    if state.source is None:  # the source run paid for the replies of a refiltered run
        state.ledger.settle(event.request_id, completion.counted)
    usage = completion.counted or Usage(prompt_tokens=0, completion_tokens=0)
    state.timeline.reply(event.stage, completion)
    counts.prompt_tokens += usage.prompt_tokens
    counts.completion_tokens += usage.completion_tokens


_MAX_SECONDS = 10**9
"""Longest plausible duration of an attempt, in seconds."""


def _require_possible(state: RunState, event: Outcome) -> None:
    """Raise ValueError for an outcome that no request can have."""
    if not event.request_id.startswith(f"{event.stage}/"):
        raise ValueError(f"{event.request_id} is not a request of the stage {event.stage}")
    if isinstance(event, RequestFailed):
        return
    if not 0 <= event.completion.latency_s <= _MAX_SECONDS:
        raise ValueError(f"{event.request_id} cannot take {event.completion.latency_s} s")
    for task_id in event.demonstration_ids:
        try:
            state.instruction(task_id)
        except KeyError:
            raise ValueError(
                f"the prompt of {event.request_id} shows an unknown {task_id}"
            ) from None


def _commit(state: RunState, event: Committed) -> None:
    if event.number != state.commits + 1:
        raise ValueError(f"commit {event.number} cannot follow commit {state.commits}")
    outcome = state.waiting.pop(generation_id(event.number))
    for accepted in event.accepted:
        task = _task(accepted, outcome)
        if task.instances is not None:
            state.counts.finish_task(len(task.instances))
            task = task if state.keeps_instances else replace(task, instances=())
        state.pool.add(task)
        state.index.add(accepted.instruction)
    state.pool_sizes.append(len(state.pool))
    for rejection in event.rejected:
        state.counts.rejected[rejection.reason] += 1
        if rejection.reason is Reason.NOT_NOVEL:
            state.last_not_novel = rejection
    state.timeline.mark(
        accepted=state.grown,
        candidates=state.grown + state.counts.rejected.total(),
        consumed=_reported_use(outcome),
    )


def _reported_use(outcome: Outcome) -> Consumption:
    """Return what a request consumed as reported by the endpoint, or one request without tokens."""
    usage = outcome.completion.counted if isinstance(outcome, CompletionReceived) else None
    return consumed(usage) if usage is not None else Consumption(requests=1)


def _classify(state: RunState, event: Classified) -> None:
    again = event.task_id in state.unclear_once
    state.waiting.pop(classification_id(event.task_id, again=again))
    if event.is_classification is None:
        state.timeline.unclear_answers += 1
        state.unclear_once.add(event.task_id)
        return
    state.timeline.clear_answers += 1
    state.unclear_once.discard(event.task_id)
    state.counts.unclear_kinds += event.answer == "unclear"
    state.pool.replace(
        replace(
            state.pool.by_id(event.task_id),
            is_classification=event.is_classification,
            classification_answer=event.answer,
        )
    )


def _task(accepted: Accepted, outcome: Outcome) -> Task:
    if not isinstance(outcome, CompletionReceived):
        raise ValueError(f"{accepted.task_id} comes from a request that failed")  # noqa: TRY004
    return Task(
        id=accepted.task_id,
        instruction=accepted.instruction,
        origin="generated",
        instances=(accepted.instance,) if accepted.instance is not None else None,
        provenance=Provenance(
            request_id=outcome.request_id,
            ordinal=item_number(accepted.candidate_id),
            # Equal strings from a journal are separate objects; interning saves memory.
            model=intern(outcome.completion.model),
            template=intern(outcome.template),
            demonstration_ids=tuple(map(intern, outcome.demonstration_ids)),
        ),
    )
