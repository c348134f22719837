"""The state of a run, computed from its journal by applying one event after another.

A running process and a resumed process both use `apply`, so they reach the same state. `plan` uses the state
to plan requests, and `decide` uses it to make decisions.

    state = initial(config, seed_tasks)
    for event in journal.replay():
        apply(state, event)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from sys import intern

from selfinstruct import journal_events as events
from selfinstruct.budget.ledger import Ledger
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption, ExpectedUse, Price, consumed
from selfinstruct.pipeline.counts import Counts
from selfinstruct.pipeline.filters import scripts_of
from selfinstruct.pipeline.novelty import NoveltyIndex
from selfinstruct.pipeline.pool import Pool
from selfinstruct.pipeline.timeline import Timeline
from selfinstruct.records import Instance, Provenance, Reason, Rejection, SeedTask, Task
from selfinstruct.records.ids import classification_id, generation_id, instances_id, item_number


@dataclass(kw_only=True)
class RunState:
    """The state of a run. Only `apply` changes it."""

    pool: Pool
    index: NoveltyIndex
    """Novelty index of the pool's instructions, in pool order."""
    pool_sizes: list[int]
    """Number of tasks in the pool after each commit. Entry 0 is the number of seed tasks and imported
    tasks."""
    scripts: frozenset[str]
    """Scripts that the seed tasks and the imported tasks use."""
    waiting: dict[str, events.Outcome] = field(default_factory=dict)
    """Outcomes on which no decision has been made yet, by request id."""
    unclear_once: set[str] = field(default_factory=set)
    """Ids of tasks that got one unclear answer to the classification question and no second answer yet."""
    counts: Counts = field(default_factory=Counts)
    ledger: Ledger = field(default_factory=Ledger)
    timeline: Timeline = field(default_factory=Timeline)
    price: Price | None = None
    """Price of the model in the process that last started. All costs of the run are computed with it."""
    expected_use: dict[int, ExpectedUse] = field(default_factory=dict)
    """First estimate of the run's consumption for each target, by target."""
    last_not_novel: Rejection | None = None
    """Latest rejection of a candidate that was not novel."""
    keeps_instances: bool = True
    """True if finished tasks keep their instances in memory. A run needs them only if demonstrations show
    instances. If false, finished tasks have the instances (), and the texts are only in the journal."""
    source: events.RefilteredFrom | None = None
    """Run whose replies this run uses; None unless this is a refiltered run, which sends no requests."""
    source_tasks: dict[str, str] = field(default_factory=dict)
    """Instructions of the tasks that are only in the source run, by their ids in this run."""
    imports: list[events.ImportedFile] = field(default_factory=list)
    """Files whose tasks were imported."""
    programs: list[str] = field(default_factory=list)
    """Versions of selfinstruct that have worked on the run, in the order of first use."""
    finished: events.RunFinished | None = None
    """How the last process ended; None while a process is running, and after a crash."""

    @property
    def commits(self) -> int:
        """Number of the last committed generation request; 0 before the first commit."""
        return len(self.pool_sizes) - 1

    @property
    def accepted(self) -> int:
        """Number of accepted and imported tasks, without seed tasks."""
        return len(self.pool) - self.pool.seed_count

    @property
    def grown(self) -> int:
        """Number of tasks accepted from this run's own candidates."""
        return self.accepted - self.counts.imported

    @property
    def missing_imports(self) -> int:
        """Number of tasks in the imported files that are not in the journal yet."""
        return sum(file.tasks for file in self.imports) - self.counts.imported

    @property
    def open_tasks(self) -> int:
        """Number of accepted and imported tasks that need more requests."""
        return self.accepted - self.counts.finished_tasks

    def instruction(self, task_id: str) -> str:
        """Return the instruction of a task in the pool or in the source run.

        Raises KeyError if neither contains the task.
        """
        text = self.source_tasks.get(task_id)
        return self.pool.by_id(task_id).instruction if text is None else text


def initial(
    config: RunConfig, seed_tasks: Sequence[SeedTask], *, keeps_instances: bool = True
) -> RunState:
    """Return the state before the first event. `keeps_instances` is explained in `RunState`."""
    pool = Pool(seed_tasks)
    return RunState(
        pool=pool,
        index=NoveltyIndex(config.threshold, config.tokenizer, (t.instruction for t in pool)),
        pool_sizes=[len(pool)],
        scripts=scripts_of([task.instruction for task in pool]),
        keeps_instances=keeps_instances,
    )


def forget_undecided(state: RunState) -> None:
    """Drop undecided outcomes that a killed run left, so that a copy can send the requests again."""
    state.waiting.clear()


def apply(state: RunState, event: events.Event) -> RunState:
    """Apply an event to the state in place, and return the state.

    Raises ValueError if the event is impossible in this state, such as a commit out of order.
    """
    match event:
        case events.RunStarted():
            program = event.versions.get("selfinstruct")
            if program is not None and program not in state.programs:
                state.programs.append(program)
            state.finished = None
            state.price = event.price
            if event.expected_use is not None:
                state.expected_use.setdefault(event.expected_use.target, event.expected_use)
            state.ledger.give_all_up()
        case events.Reserved():
            if min(event.prompt_tokens, event.completion_tokens) < 0:
                raise ValueError(f"{event.request_id} cannot reserve a negative number of tokens")
            maximum = Consumption(
                requests=1,
                prompt_tokens=event.prompt_tokens,
                completion_tokens=event.completion_tokens,
            )
            state.ledger.reserve(event.request_id, maximum, replaces=event.replaces)
        case events.Released():
            state.ledger.release(event.request_id)
        case events.CompletionReceived() | events.RequestFailed():
            if event.request_id in state.waiting:
                raise ValueError(f"{event.request_id} already has an outcome")
            state.waiting[event.request_id] = event
            _count_outcome(state, event)
        case events.Committed():
            _commit(state, event)
        case events.Classified():
            _classify(state, event)
        case events.InstancesWritten():
            _require_numbers(event.rejected)
            state.waiting.pop(instances_id(event.task_id))
            state.pool.update(event.task_id, instances=_kept(state, event.instances))
            state.counts.instances_rejected.update(r.reason for r in event.rejected)
        case events.RefilteredFrom():
            state.source = event
        case events.SourceTask():
            state.source_tasks[event.task_id] = event.instruction
        case events.ImportedFile():
            _require_nothing_asked(state, event.name)
            state.imports.append(event)
        case events.TaskImported():
            _require_nothing_asked(state, event.task_id)
            _import(state, event)
        case events.RunFinished():
            state.finished = event
            state.ledger.give_all_up()
    return state


def _require_nothing_asked(state: RunState, what: str) -> None:
    if state.counts.requests or state.commits:
        raise ValueError(f"{what} cannot be imported after the first request")


def _import(state: RunState, event: events.TaskImported) -> None:
    if not state.missing_imports:
        raise ValueError(f"{event.task_id} does not belong to any imported file")
    is_whole, kind = event.instances is not None, event.is_classification
    state.pool.add(
        Task(
            id=event.task_id,
            instruction=event.instruction,
            origin="imported",
            is_classification=kind,
            classification_answer=event.answer if kind is not None else None,
            instances=_kept(state, event.instances),
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
    _require_numbers(event.rejected)
    counts.instances_rejected.update(r.reason for r in event.rejected)
    if not state.missing_imports:
        # Imported tasks may be shown as demonstrations, so their scripts are allowed too.
        state.scripts = scripts_of([task.instruction for task in state.pool])


def _count_outcome(state: RunState, event: events.Outcome) -> None:
    if state.missing_imports:
        raise ValueError(f"{state.missing_imports:,} of the imported tasks are missing")
    _require_possible(state, event)
    counts = state.counts
    counts.requests[event.stage] += 1
    if isinstance(event, events.RequestFailed):
        counts.failed[event.stage] += 1
        state.ledger.give_up(event.request_id)
        return
    if state.source is None:  # a refiltered run's replies were paid for by the source run
        state.ledger.settle(event.request_id, event.completion.counted)
    use = _reported_use(event)
    state.timeline.reply(event.stage, event.completion)
    counts.prompt_tokens += use.prompt_tokens
    counts.completion_tokens += use.completion_tokens


_MAX_SECONDS = 10**9
"""Maximum plausible latency of a reply, in seconds."""


def _require_possible(state: RunState, event: events.Outcome) -> None:
    """Raise ValueError if no request can have this outcome."""
    if not event.request_id.startswith(f"{event.stage}/"):
        raise ValueError(f"{event.request_id} is not a request in the stage {event.stage}")
    if isinstance(event, events.RequestFailed):
        return
    if not 0 <= event.completion.latency_s <= _MAX_SECONDS:
        raise ValueError(f"{event.request_id} cannot have taken {event.completion.latency_s} s")
    for task_id in event.demonstration_ids:
        try:
            state.instruction(task_id)
        except KeyError:
            raise ValueError(
                f"the prompt of {event.request_id} shows the unknown task {task_id}"
            ) from None


def _commit(state: RunState, event: events.Committed) -> None:
    if event.number != state.commits + 1:
        raise ValueError(f"commit {event.number} cannot follow commit {state.commits}")
    outcome = state.waiting.pop(generation_id(event.number))
    for accepted in event.accepted:
        instances = (accepted.instance,) if accepted.instance is not None else None
        state.pool.add(_task(accepted, outcome, _kept(state, instances)))
        state.index.add(accepted.instruction)
    state.pool_sizes.append(len(state.pool))
    _require_numbers(event.rejected)
    for rejection in event.rejected:
        state.counts.rejected[rejection.reason] += 1
        if rejection.reason is Reason.NOT_NOVEL:
            state.last_not_novel = rejection
    state.timeline.mark(
        accepted=state.grown,
        candidates=state.grown + state.counts.rejected.total(),
        consumed=_reported_use(outcome),
    )


def _require_numbers(rejections: Iterable[Rejection]) -> None:
    """Raise ValueError unless the id of each rejected item ends in the item's number."""
    for rejection in rejections:
        if not rejection.candidate_id.rpartition("#")[2].isdecimal():
            raise ValueError(f"the rejected item {rejection.candidate_id!r} has no number")


def _reported_use(outcome: events.Outcome) -> Consumption:
    """Return the consumption that the endpoint reported for a request, or one request without tokens."""
    usage = outcome.completion.counted if isinstance(outcome, events.CompletionReceived) else None
    return consumed(usage) if usage is not None else Consumption(requests=1)


def _classify(state: RunState, event: events.Classified) -> None:
    again = event.task_id in state.unclear_once
    state.waiting.pop(classification_id(event.task_id, again=again))
    if event.is_classification is None:
        state.timeline.unclear_answers += 1
        state.unclear_once.add(event.task_id)
        return
    state.timeline.clear_answers += 1
    state.unclear_once.discard(event.task_id)
    state.counts.unclear_kinds += event.answer == "unclear"
    state.pool.update(
        event.task_id, is_classification=event.is_classification, classification_answer=event.answer
    )


def _kept(state: RunState, instances: tuple[Instance, ...] | None) -> tuple[Instance, ...] | None:
    """Count a task as finished if it has `instances`, and return the instances to keep in memory."""
    if instances is None:
        return None
    state.counts.finish_task(len(instances))
    return instances if state.keeps_instances else ()


def _task(
    accepted: events.Accepted, outcome: events.Outcome, instances: tuple[Instance, ...] | None
) -> Task:
    if not isinstance(outcome, events.CompletionReceived):
        raise ValueError(f"{accepted.task_id} comes from a request that failed")  # noqa: TRY004
    return Task(
        id=accepted.task_id,
        instruction=accepted.instruction,
        origin="generated",
        instances=instances,
        provenance=Provenance(
            request_id=outcome.request_id,
            ordinal=item_number(accepted.candidate_id),
            # Equal strings that are read from a journal are separate objects. Interning them saves memory.
            model=intern(outcome.completion.model),
            template=intern(outcome.template),
            demonstration_ids=tuple(map(intern, outcome.demonstration_ids)),
        ),
    )
