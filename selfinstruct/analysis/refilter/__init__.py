"""Decide on a run's replies again with other filters, and return the journal of a new run. Pure.

    refilter(source, config) → Refiltered(events=[…], state=…, comparison=…)

The new journal has the source's outcomes and new decisions, made with the same `decide` and `apply` as in
any run, so every command can read the new run. Two events occur only in such journals:

    refiltered_from    the first line: the run that all replies come from. The new run sends no requests
    source_task        a task that only the source has, with an id such as "source:task_000007". It records
                       the text that the id in a prompt or request refers to

Tasks are numbered as in the new pool. Requests about a task, and demonstrations in later prompts, get the new
number of the task that was the same candidate. Generation requests keep their numbers, so candidates keep
their ids. A demonstration gets the new number only if the task has exactly the text that the prompt showed;
otherwise it becomes a `source_task`.

Imported tasks do not come from replies. They stay as they are, and candidates are compared with them again.

The new run decides on all generation replies that the source had decided on, regardless of the target, and
on all replies about their tasks. The journal keeps the other outcomes without a decision, so no paid reply is
lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from selfinstruct.analysis.refilter.comparison import Comparison, compare, partners
from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import (
    Accepted,
    Committed,
    CompletionReceived,
    Event,
    ImportedFile,
    Outcome,
    RefilteredFrom,
    RequestFailed,
    RunFinished,
    RunStarted,
    SourceTask,
    TaskImported,
)
from selfinstruct.pipeline.decide import commit
from selfinstruct.pipeline.recipes import recipe_of
from selfinstruct.pipeline.state import RunState, apply, initial
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.directory import Run, replay
from selfinstruct.runner.journal_line import Entry

DECIDING = ("profile", "tokenizer", "threshold", "max_instances")
"""Settings that affect how replies are parsed and decided, and can be changed without new requests.

`max_instances` also appears in prompts, but the recorded prompts do not change. All other settings affect
which requests are sent.
"""


class Source:
    """A run to refilter, replayed to its end, with its outcomes and commits."""

    def __init__(self, run: Run, entries: Iterator[Entry[Event]]) -> None:
        self.run = run
        events = [entry.event for entry in replay(run, entries)]
        self.lines = len(events)
        self.outcomes: dict[str, Outcome] = {
            e.request_id: e for e in events if isinstance(e, CompletionReceived | RequestFailed)
        }
        """The source's outcomes, by request id."""
        self.commits = [e for e in events if isinstance(e, Committed)]
        self.imports = [e for e in events if isinstance(e, ImportedFile | TaskImported)]

    @property
    def has_replies_about_imports(self) -> bool:
        """True if the run has imported tasks and an outcome of a classification or instance request."""
        return bool(self.imports) and any(o.stage != "generate" for o in self.outcomes.values())


@dataclass(frozen=True, kw_only=True)
class Refiltered:
    """The run that a refilter produces."""

    events: Sequence[Event]
    """All events of the new journal."""
    state: RunState
    """The run's state after these events."""
    comparison: Comparison
    settings: Mapping[str, Any]
    """The new run's values of the settings in `DECIDING`."""


def refilter(
    source: Source, config: RunConfig, *, origin: RefilteredFrom, versions: Mapping[str, str]
) -> Refiltered:
    """Repeat all decisions of the source with another config.

    `config` may differ from the source's only in `DECIDING`. `origin` becomes the new journal's first event.
    `versions` are the versions of selfinstruct and Python.
    """
    again = _Again(source=source, config=config, state=initial(config, source.run.seed_tasks))
    again.record(origin, RunStarted(versions=versions, settings={}))
    again.take_over_imports()
    for theirs in source.commits:
        again.decide(theirs)
    # Keep replies without a decision. They exceeded the target, or an earlier reply was missing at the end.
    for name, outcome in source.outcomes.items():
        if name not in again.used:
            again.record(again.renamed(outcome))
    again.record(RunFinished(reason="complete"))
    comparison = compare(source.run.state, again.state, source.commits, again.commits)
    return Refiltered(
        events=again.events,
        state=again.state,
        comparison=comparison,
        settings={name: getattr(config, name) for name in DECIDING},
    )


@dataclass(kw_only=True)
class _Again:
    """A refilter in progress: the events and the state of the new run so far."""

    source: Source
    config: RunConfig
    state: RunState
    events: list[Event] = field(default_factory=list)
    commits: list[Committed] = field(default_factory=list)
    _shown_as: dict[str, str] = field(default_factory=dict)
    """Task ids in the new run, by task id in the source."""
    used: set[str] = field(default_factory=set)
    """Ids of the source's outcomes that the new journal already contains."""

    def record(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            apply(self.state, event)

    def take_over_imports(self) -> None:
        """Import the source's imported tasks, then decide on the replies about them."""
        self.record(*self.source.imports)
        for event in self.source.imports:
            if isinstance(event, TaskImported):
                self._about(event.task_id, event.task_id)

    def decide(self, theirs: Committed) -> None:
        """Decide on the generation reply of a source commit, then on the replies about its tasks."""
        outcome = self.renamed(self._taken(generation_id(theirs.number)))
        self.record(outcome)
        ours = commit(self.state, self.config, outcome)
        self.record(ours)
        self.commits.append(ours)
        partner = partners(theirs.accepted, ours.accepted)
        for task in theirs.accepted:
            same = partner.get(task.task_id)
            if same is None or same.instruction != task.instruction:
                self._remember(task)
            else:
                self._shown_as[task.task_id] = same.task_id
            self._about(task.task_id, same.task_id if same is not None else None)

    def _remember(self, task: Accepted) -> None:
        """Record a source task whose exact text the new run does not have."""
        name = f"source:{task.task_id}"
        self._shown_as[task.task_id] = name
        candidate_id, instruction = task.candidate_id, task.instruction
        self.record(SourceTask(task_id=name, candidate_id=candidate_id, instruction=instruction))

    def _about(self, there: str, here: str | None) -> None:
        """Copy the replies about source task `there`, and decide on them if the new run has it, as `here`."""
        name = here if here is not None else f"source:{there}"
        stages = recipe_of(self.config).task_stages
        for stage in stages:
            new_ids = stage.request_ids(name)
            for old, new in zip(stage.request_ids(there), new_ids, strict=True):
                if old in self.source.outcomes:
                    self.record(replace(self._taken(old), request_id=new))
        if here is None:
            return
        for stage in stages:
            for request_id in stage.request_ids(here):
                outcome = self.state.waiting.get(request_id)
                task = self.state.pool.by_id(here)
                if outcome is not None and stage.is_open(task):
                    self.record(stage.decide(self.state, self.config, outcome))

    def _taken(self, name: str) -> Outcome:
        self.used.add(name)
        return self.source.outcomes[name]

    def renamed(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the demonstration ids of its prompt replaced by the ids in the new run."""
        if not isinstance(outcome, CompletionReceived):
            return outcome
        shown = tuple(self._shown_as.get(name, name) for name in outcome.demonstration_ids)
        return replace(outcome, demonstration_ids=shown)
