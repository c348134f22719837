"""Decide the replies of a run again with other filters, as the journal of a new run. Pure: sends nothing.

    refilter(source, config) → Refiltered(events=[…], state=…, comparison=…)

The new journal has the same outcomes and new decisions, made by the same `decide` and folded by the same
`apply`, so every command reads the new run like any other. Only such journals have two further events:

    refiltered_from    first line: the source of all replies. The run sends no request
    source_task        a task that only the source has, as "source:task_000007", so that the names in prompts
                       and requests keep their texts

Tasks have the numbers of the new pool. Requests about a task, and demonstrations in later prompts, follow the
candidate of the task. Generation requests keep their numbers, so candidates keep their ids. A demonstration
gets the new number only if the task has exactly the text that the prompt showed, else it is a `source_task`.

Imported tasks do not follow from replies. They stay the same, and candidates are compared with them again.

The new run decides the generation replies that the source had decided, whatever the target, and all replies
about their tasks. The journal keeps the other outcomes without a decision, so no paid reply is lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from selfinstruct.analysis.refilter.comparison import Comparison, compare, partners
from selfinstruct.config.schema import RunConfig
from selfinstruct.events import (
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
from selfinstruct.pipeline.decide import classified, commit, instances_written
from selfinstruct.pipeline.state import RunState, apply, initial
from selfinstruct.records.ids import classification_id, generation_id, instances_id
from selfinstruct.runner.directory import Run, replay
from selfinstruct.runner.journal_line import Entry

DECIDING = ("profile", "tokenizer", "threshold", "max_instances")
"""Settings that change only how replies are parsed and decided.

`max_instances` is also a part of prompts, which do not change. All other settings change the requests.
"""


class Source:
    """A run to refilter, advanced to its end, with its outcomes and commits."""

    def __init__(self, run: Run, entries: Iterator[Entry[Event]]) -> None:
        self.run = run
        events = [entry.event for entry in replay(run, entries)]
        self.lines = len(events)
        self.outcomes: dict[str, Outcome] = {
            e.request_id: e for e in events if isinstance(e, CompletionReceived | RequestFailed)
        }
        """Outcomes by request id."""
        self.commits = [e for e in events if isinstance(e, Committed)]
        self.imports = [e for e in events if isinstance(e, ImportedFile | TaskImported)]

    @property
    def has_replies_about_imports(self) -> bool:
        """Whether the run sent requests about imported tasks."""
        return bool(self.imports) and any(o.stage != "generate" for o in self.outcomes.values())


@dataclass(frozen=True, kw_only=True)
class Refiltered:
    """The new run."""

    events: Sequence[Event]
    """Events of the new journal."""
    state: RunState
    """State after these events."""
    comparison: Comparison
    settings: Mapping[str, Any]
    """Values of the settings in `DECIDING`."""


def refilter(
    source: Source, config: RunConfig, *, origin: RefilteredFrom, versions: Mapping[str, str]
) -> Refiltered:
    """Decide everything again that the source has decided.

    `config` differs from the source's in `DECIDING` alone; `versions` are the versions of program and Python.
    """
    again = _Again(source=source, config=config, state=initial(config, source.run.seed_tasks))
    again.record(origin, RunStarted(versions=versions, settings={}))
    again.take_over_imports()
    for theirs in source.commits:
        again.decide(theirs)
    # Replies without a decision: beyond the target, or not yet in order when the run stopped.
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
    """A refilter in progress."""

    source: Source
    config: RunConfig
    state: RunState
    events: list[Event] = field(default_factory=list)
    commits: list[Committed] = field(default_factory=list)
    _shown_as: dict[str, str] = field(default_factory=dict)
    """Names in the new run, by task id in the source."""
    used: set[str] = field(default_factory=set)
    """Ids of the outcomes that the new journal has already."""

    def record(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            apply(self.state, event)

    def take_over_imports(self) -> None:
        """Import the same tasks, then decide the replies about them."""
        self.record(*self.source.imports)
        for event in self.source.imports:
            if isinstance(event, TaskImported):
                self._about(event.task_id, event.task_id)

    def decide(self, theirs: Committed) -> None:
        """Decide a generation reply, then the replies about its tasks."""
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
        """Store the name and the text of a task that the new run does not have."""
        name = f"source:{task.task_id}"
        self._shown_as[task.task_id] = name
        self.record(
            SourceTask(task_id=name, candidate_id=task.candidate_id, instruction=task.instruction)
        )

    def _about(self, there: str, here: str | None) -> None:
        """Copy the replies about a task, and decide them if the new run has the task."""
        name = here if here is not None else f"source:{there}"
        requests = {
            classification_id(there, again=again): classification_id(name, again=again)
            for again in (False, True)
        }
        for old, new in (requests | {instances_id(there): instances_id(name)}).items():
            if old in self.source.outcomes:
                self.record(replace(self._taken(old), request_id=new))
        if here is None:
            return
        for again in (False, True):
            answered = self.state.waiting.get(classification_id(here, again=again))
            if answered is not None and self.state.pool.by_id(here).is_classification is None:
                self.record(classified(self.state, self.config, here, answered))
        written = self.state.waiting.get(instances_id(here))
        if written is not None:
            self.record(instances_written(self.state, self.config, here, written))

    def _taken(self, name: str) -> Outcome:
        self.used.add(name)
        return self.source.outcomes[name]

    def renamed(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the demonstrations of its prompt renamed."""
        if not isinstance(outcome, CompletionReceived):
            return outcome
        shown = tuple(self._shown_as.get(name, name) for name in outcome.demonstration_ids)
        return replace(outcome, demonstration_ids=shown)
