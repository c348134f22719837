"""`RunState` and `apply`: the state of a run is a fold over its journal.

The same `apply` is used live and on resume, so there is no second code path called "resume" that could
differ. The state knows what happened; `plan` says what to ask next, `decide` what follows from a reply.

    state = initial(config, seed_tasks)
    for event in journal.replay():
        apply(state, event)
"""

from collections import Counter
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
from selfinstruct.pipeline.filters import scripts_of
from selfinstruct.pipeline.novelty import NoveltyIndex
from selfinstruct.pipeline.pool import Pool
from selfinstruct.pipeline.timeline import Timeline
from selfinstruct.records import Provenance, Reason, Rejection, SeedTask, Stage, Task, Usage
from selfinstruct.records.ids import classification_id, generation_id, instances_id, item_number


@dataclass(kw_only=True)
class Counts:
    """What has happened so far: every number in a report comes from here."""

    requests: Counter[Stage] = field(default_factory=Counter)
    """Requests with an outcome, by stage."""
    failed: Counter[Stage] = field(default_factory=Counter)
    """Requests that the endpoint refused, or that were given up, by stage."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)
    """Candidates of committed requests, by reason."""
    decided_at: Counter[int] = field(default_factory=Counter)
    """Candidates of committed requests, by the size of the pool that they were compared with (`step`) …"""
    accepted_at: Counter[int] = field(default_factory=Counter)
    """… and those of them that were accepted."""
    finished_tasks: int = 0
    """Accepted tasks of which nothing more will be asked."""
    with_instances: int = 0
    """Those of them that have any."""
    rows: int = 0
    """Their instances in all."""
    instances_rejected: Counter[Reason] = field(default_factory=Counter)
    unclear_kinds: int = 0
    """Tasks whose kind the model did not say clearly."""
    imported: int = 0
    """Tasks that were there before the run. They count as accepted, and no candidate became one of them."""
    imported_whole: int = 0
    """Those of them that came with their instances, so that nothing is asked about them."""
    imported_kinds: int = 0
    """Those of the others whose kind was known, so that they are asked for their instances only."""


@dataclass(kw_only=True)
class RunState:
    """What the fold gives. Changed by `apply` only."""

    pool: Pool
    index: NoveltyIndex
    """The pool's instructions, in the pool's order."""
    pool_sizes: list[int]
    """`pool_sizes[j]` is the length of the pool after commit j; commit 0 stands for what was there before:
    the seed tasks, and those that were imported."""
    scripts: frozenset[str]
    """The scripts of what was there before: the run's language, as far as letters tell."""
    waiting: dict[str, Outcome] = field(default_factory=dict)
    """Outcomes by request id that no decision has used yet."""
    unclear_once: set[str] = field(default_factory=set)
    """Ids of tasks whose kind was asked for and not clearly answered, and is asked for once more."""
    counts: Counts = field(default_factory=Counts)
    ledger: Ledger = field(default_factory=Ledger)
    timeline: Timeline = field(default_factory=Timeline)
    price: Price | None = None
    """What the model costs, as the last process knew it; what was spent is always reckoned at this price."""
    expected_use: dict[int, ExpectedUse] = field(default_factory=dict)
    """What was expected by each target when it was first aimed at."""
    last_not_novel: Rejection | None = None
    """The candidate that was last found to be like something in the pool."""
    keeps_instances: bool = True
    """Whether finished tasks have their instances. A run that goes on needs them for demonstrations alone;
    where those show none, the texts stay in the journal, and a finished task of the pool has ()."""
    source: RefilteredFrom | None = None
    """Where the replies come from, if they are another run's. Then nothing is asked here, ever."""
    source_tasks: dict[str, str] = field(default_factory=dict)
    """Instructions of that run's tasks that are none of this one's, by the name that they have here."""
    imports: list[ImportedFile] = field(default_factory=list)
    """The files that tasks were imported from."""
    programs: list[str] = field(default_factory=list)
    """Versions of selfinstruct that worked at the run, the first one first."""
    finished: RunFinished | None = None
    """How the last process left the run; None while one is at it, or after a crash."""

    @property
    def commits(self) -> int:
        """Number of the last generation request that was committed."""
        return len(self.pool_sizes) - 1

    @property
    def accepted(self) -> int:
        """Tasks accepted so far, those imported included, seed tasks not counted."""
        return len(self.pool) - self.pool.seed_count

    @property
    def imported(self) -> int:
        """Those of them that were there before the run."""
        return self.counts.imported

    @property
    def grown(self) -> int:
        """Those of them that candidates of this run became: what its generation requests have brought."""
        return self.accepted - self.counts.imported

    @property
    def lost_imports(self) -> int:
        """Tasks that the files name and that are not there yet."""
        return sum(file.tasks for file in self.imports) - self.counts.imported

    @property
    def open_tasks(self) -> int:
        """Accepted tasks of which something is still to be asked."""
        return self.accepted - self.counts.finished_tasks

    def instruction(self, task_id: str) -> str:
        """The text of a task that a prompt showed: one of the pool, or of the run that this one is made from.

        Raises KeyError.
        """
        named = self.source_tasks.get(task_id)
        return self.pool.by_id(task_id).instruction if named is None else named


def initial(
    config: RunConfig, seed_tasks: Sequence[SeedTask], *, keeps_instances: bool = True
) -> RunState:
    """The state before the first event; `keeps_instances` as in `RunState`."""
    pool = Pool(seed_tasks)
    return RunState(
        pool=pool,
        index=NoveltyIndex(config.threshold, config.tokenizer, (t.instruction for t in pool)),
        pool_sizes=[len(pool)],
        scripts=scripts_of([task.instruction for task in pool]),
        keeps_instances=keeps_instances,
    )


def apply(state: RunState, event: Event) -> RunState:
    """Fold one event into the state, in place, and return the state.

    Raises ValueError for an event that cannot follow, such as a commit out of order.
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
            most = Consumption(
                requests=1,
                prompt_tokens=event.prompt_tokens,
                completion_tokens=event.completion_tokens,
            )
            state.ledger.reserve(event.request_id, most, replaces=event.replaces)
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
            _count_instances(state.counts, len(event.instances))
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
        raise ValueError(f"{what} cannot be imported once something was asked")


def _import(state: RunState, event: TaskImported) -> None:
    if not state.lost_imports:
        raise ValueError(f"{event.task_id} is of none of the files that were imported")
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
        _count_instances(counts, len(event.instances))
    if not state.lost_imports:  # prompts will show them, and replies will be in their scripts
        state.scripts = scripts_of([task.instruction for task in state.pool])


def _count_outcome(state: RunState, event: Outcome) -> None:
    if state.lost_imports:
        raise ValueError(f"{state.lost_imports:,} of the tasks that were imported are missing")
    _require_sense(state, event)
    counts = state.counts
    counts.requests[event.stage] += 1
    if isinstance(event, RequestFailed):
        counts.failed[event.stage] += 1
        state.ledger.give_up(event.request_id)
        return
    completion = event.completion
    if state.source is None:  # else it was another run that paid for it
        state.ledger.settle(event.request_id, completion.counted)
    usage = completion.counted or Usage(prompt_tokens=0, completion_tokens=0)
    if event.stage != "generate":
        state.timeline.finishing += _told(event)
    counts.prompt_tokens += usage.prompt_tokens
    counts.completion_tokens += usage.completion_tokens


_LONGEST_S = 10**9
"""No attempt takes longer."""


def _require_sense(state: RunState, event: Outcome) -> None:
    """Raise ValueError for an outcome that no request can have had."""
    if not event.request_id.startswith(f"{event.stage}/"):
        raise ValueError(f"{event.request_id} is not a request of the stage {event.stage}")
    if isinstance(event, RequestFailed):
        return
    if not 0 <= event.completion.latency_s <= _LONGEST_S:
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
            _count_instances(state.counts, len(task.instances))
            task = task if state.keeps_instances else replace(task, instances=())
        state.pool.add(task)
        state.index.add(accepted.instruction)
    _count_candidates(state, event)
    state.pool_sizes.append(len(state.pool))
    for rejection in event.rejected:
        state.counts.rejected[rejection.reason] += 1
        if rejection.reason is Reason.NOT_NOVEL:
            state.last_not_novel = rejection
    state.timeline.mark(
        accepted=state.grown,
        candidates=state.grown + state.counts.rejected.total(),
        consumed=_told(outcome),
    )


def _told(outcome: Outcome) -> Consumption:
    """What a request consumed as the endpoint counted it, if it did."""
    usage = outcome.completion.counted if isinstance(outcome, CompletionReceived) else None
    return consumed(usage) if usage is not None else Consumption(requests=1)


def _count_instances(counts: Counts, number: int) -> None:
    """A task is finished, with so many instances."""
    counts.finished_tasks += 1
    counts.with_instances += number > 0
    counts.rows += number


def _count_candidates(state: RunState, event: Committed) -> None:
    """Count candidates by the pool that each was compared with: later ones see earlier ones."""
    size = state.pool_sizes[-1]
    for item in event.items:
        is_accepted = isinstance(item, Accepted)
        state.counts.decided_at[step(size)] += 1
        state.counts.accepted_at[step(size)] += is_accepted
        size += is_accepted


def step(size: int) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, … that is not above a size: pools are told apart by it."""
    power: int = 10 ** (len(str(size)) - 1)
    return max(n * power for n in (1, 2, 5) if n * power <= max(size, 1))


def next_step(bottom: int) -> int:
    """The one of 1, 2, 5, 10, 20, 50, … that follows."""
    return bottom * 5 // 2 if str(bottom).startswith("2") else bottom * 2


def _classify(state: RunState, event: Classified) -> None:
    again = event.task_id in state.unclear_once
    state.waiting.pop(classification_id(event.task_id, again=again))
    if event.is_classification is None:
        state.unclear_once.add(event.task_id)
        return
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
            # As read from a journal they would be texts of their own for each task.
            model=intern(outcome.completion.model),
            template=intern(outcome.template),
            demonstration_ids=tuple(map(intern, outcome.demonstration_ids)),
        ),
    )
