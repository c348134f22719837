"""The replies of a run, decided again by other filters, as the journal of a new run. Pure: asks nobody.

    refilter(source, config) → Refiltered(events=[…], state=…, comparison=…)

The new journal holds the same outcomes and new decisions, made by the same `decide` and folded by the same
`apply`, so everything that reads a run reads this one. Two things are told by the journal and nowhere else:

    refiltered_from    first line: whose replies these are. Nothing is asked here any more
    source_task        a task there that is none here, as "source:task_000007", so that what prompts showed
                       and what replies are about keeps its name and its text

Numbers of tasks are those of the new pool. Whatever names a task is renamed with the candidate that it is:
requests about it, and the demonstrations of later prompts. Requests for new tasks keep their numbers, and so
candidates their ids. A demonstration gets the new number only if the task has the very text that was shown;
else it is a `source_task`.

Tasks that were imported are no decision of the run: they are the same here, and the candidates are compared
with them as before.

What is decided are the generation replies that the source had decided, whatever its target or ours, and all
replies about their tasks. The other outcomes are in the journal, too, and wait: nothing that was paid for is
lost sight of.
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
"""The settings that concern only how replies are read and decided.

`max_instances` stands in prompts, too; what it says there was said. All others say what was asked, or how.
"""


class Source:
    """A run whose replies are decided again: moved to its end, with what its journal says of each reply."""

    def __init__(self, run: Run, entries: Iterator[Entry]) -> None:
        self.run = run
        self.lines = 0
        self.outcomes: dict[str, Outcome] = {}
        """By request id."""
        self.commits: list[Committed] = []
        self.imports: list[ImportedFile | TaskImported] = []
        for entry in replay(run, entries):
            self.lines = entry.seq
            match entry.event:
                case ImportedFile() | TaskImported() as imported:
                    self.imports.append(imported)
                case Committed() as committed:
                    self.commits.append(committed)
                case CompletionReceived() | RequestFailed() as outcome:
                    self.outcomes[outcome.request_id] = outcome

    @property
    def has_replies_about_imports(self) -> bool:
        """Whether anything was asked about a task that was imported."""
        return bool(self.imports) and any(o.stage != "generate" for o in self.outcomes.values())


@dataclass(frozen=True, kw_only=True)
class Refiltered:
    """A run decided again."""

    events: Sequence[Event]
    """Its journal."""
    state: RunState
    """What that folds to."""
    comparison: Comparison
    settings: Mapping[str, Any]
    """Those of `DECIDING` that it was decided by."""


def refilter(
    source: Source, config: RunConfig, *, origin: RefilteredFrom, versions: Mapping[str, str]
) -> Refiltered:
    """Decide all that the source has decided once more.

    `config` is that of the source but for `DECIDING`; `versions` are those of the program and of Python.
    """
    again = _Again(source=source, config=config, state=initial(config, source.run.seed_tasks))
    again.record(origin, RunStarted(versions=versions, settings={}))
    again.take_over_imports()
    for theirs in source.commits:
        again.decide(theirs)
    # What nobody has decided: replies beyond the target, or before whose turn the run was stopped.
    for outcome in again.left:
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
    """Deciding again under way."""

    source: Source
    config: RunConfig
    state: RunState
    events: list[Event] = field(default_factory=list)
    commits: list[Committed] = field(default_factory=list)
    _shown_as: dict[str, str] = field(default_factory=dict)
    """What a demonstration of there is called here."""
    _used: set[str] = field(default_factory=set)
    """Ids of those outcomes of the source that were taken."""

    def record(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            apply(self.state, event)

    @property
    def left(self) -> list[Outcome]:
        """The outcomes that were not taken yet, in the order in which they came."""
        return [o for name, o in self.source.outcomes.items() if name not in self._used]

    def take_over_imports(self) -> None:
        """Import the same tasks, then decide the replies about each of them."""
        self.record(*self.source.imports)
        for event in self.source.imports:
            if isinstance(event, TaskImported):
                self._about(event.task_id, event.task_id)

    def decide(self, theirs: Committed) -> None:
        """Decide a generation reply, then the replies about each task that it brought."""
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
        """Keep the name and the text of a task that is none here."""
        name = f"source:{task.task_id}"
        self._shown_as[task.task_id] = name
        self.record(
            SourceTask(task_id=name, candidate_id=task.candidate_id, instruction=task.instruction)
        )

    def _about(self, there: str, here: str | None) -> None:
        """Take the replies about a task, and decide them if it is one here. All of them are there before."""
        name = here if here is not None else f"source:{there}"
        for old, new in _requests(there, name).items():
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
        self._used.add(name)
        return self.source.outcomes[name]

    def renamed(self, outcome: Outcome) -> Outcome:
        """An outcome whose prompt showed tasks, by the names that these have here."""
        if not isinstance(outcome, CompletionReceived):
            return outcome
        shown = tuple(self._shown_as.get(name, name) for name in outcome.demonstration_ids)
        return replace(outcome, demonstration_ids=shown)


def _requests(there: str, here: str) -> dict[str, str]:
    """The ids of the requests about a task, as they are there and as they are here."""
    return {
        classification_id(there, again=False): classification_id(here, again=False),
        classification_id(there, again=True): classification_id(here, again=True),
        instances_id(there): instances_id(here),
    }
