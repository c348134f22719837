"""Verify a journal: plan every prompt and make every decision again from the journaled replies.

    run, entries = read_history("my-run")
    verify(run, entries).problems
    → (Problem(seq=7, what="generate/000001#7", why="the journal says rejected: too_short; decided again, it
       is accepted"),)

Pure: takes a run and its entries, and returns a `Verification`. Uses the same `plan`, `decide` and `apply` as
a run. A decision must match exactly. The only exception is the witness of a `not_novel` candidate: any task
over the threshold is correct. Witness scores are recomputed with the rouge-score package, which runs do not
use.
"""

from collections.abc import Iterable, Mapping, Sequence

from selfinstruct import journal_events as events
from selfinstruct.analysis.verify import differences, requests
from selfinstruct.analysis.verify.results import Problem, Verification
from selfinstruct.analysis.verify.witnesses import objections
from selfinstruct.pipeline.decide import commit
from selfinstruct.pipeline.recipes.types import ClassifyStage, InstancesStage
from selfinstruct.pipeline.state import apply, initial
from selfinstruct.records import Reason
from selfinstruct.records.ids import classification_id, generation_id, import_id, instances_id
from selfinstruct.runner.directory import Run
from selfinstruct.runner.journal_line import Entry
from selfinstruct.runner.manifest import VERSIONS

__all__ = ["Problem", "Verification", "verify"]


def verify(run: Run, entries: Iterable[Entry[events.Event]]) -> Verification:
    """Check all entries of a journal, which must start with the first one.

    Uses only the run's settings, seed tasks and templates, and does not change the run. The check ends at a
    line that cannot follow the lines before it. Exceptions of the iterable `entries` are passed on.
    """
    check = _Check(run)
    for entry in entries:
        check.result.entries += 1
        try:
            check.entry(entry)
            apply(check.state, entry.event)
        except (ValueError, KeyError) as error:
            check.complain(
                "the journal",
                f"this line cannot follow the lines before it ({error}); later lines were not checked",
            )
            break
    return check.finished()


class _Check:
    """A check in progress: the state before the next entry, and the result so far."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.state = initial(run.config, run.seed_tasks)
        self.result = Verification(has_task_stages=run.recipe.asks_about_tasks)
        self.result.not_decided = _not_decided(run.versions)
        self._target = run.config.num_instructions
        self._asked: dict[str, int] = {}
        """The journal line of each request's outcome, by request id."""
        same = {name for name, version in VERSIONS.items() if run.versions.get(name) == version}
        self._same_tokens = "tokenizer" in same
        self._same_parsers = "parsers" in same
        self._same_decisions = same == VERSIONS.keys()

    def complain(self, what: str, why: str) -> None:
        self.result.problems.append(Problem(seq=self.result.entries, what=what, why=why))

    def finished(self) -> Verification:
        """Check that no imported task is missing at the end, and return the result."""
        lost = self._run.imported - self.state.counts.imported
        if lost > 0 and not self.result.problems:
            self.complain("the journal", f"ends before the last {lost:,} imported tasks")
        self.result.imported = self.state.counts.imported
        self.result.outcomes = len(self._asked)
        self.result.not_planned = _not_planned(self.state.source)
        return self.result

    def entry(self, entry: Entry[events.Event]) -> None:
        """Check an entry against the state before it. Raises ValueError if it cannot follow that state."""
        if entry.seq != self.result.entries:
            self.complain("the journal", f"line {self.result.entries} has the number {entry.seq}")
        event = entry.event
        match event:
            case events.RunStarted():
                target = event.settings.get("num_instructions")
                self._target = target if isinstance(target, int) else self._target
            case events.CompletionReceived() | events.RequestFailed():
                self._prompt(event)
            case events.Committed():
                self._commit(event, self._outcome_of(event))
            case events.Classified():
                self._classified(event, self._outcome_of(event))
            case events.InstancesWritten():
                self._instances(event, self._outcome_of(event))
            case events.RefilteredFrom():
                if self.result.entries > 1:
                    raise ValueError("only the first line can say which run the replies come from")
            case events.SourceTask():
                if self.state.source is None:
                    raise ValueError("only a refiltered run has tasks of another run")
                # Without this prefix, the id could hide a task of this run.
                if not event.task_id.startswith("source:"):
                    self.complain(event.task_id, "is not the id of a source task")
            case events.ImportedFile():
                if event.tasks < 0 or event.records < event.tasks:
                    counts = f"{event.tasks} tasks in {event.records} records"
                    self.complain(event.name, f"cannot contain {counts}")
            case events.TaskImported():
                self._imported(event)
            case events.RunFinished():
                is_done = self.state.accepted >= self._target and not self.state.open_tasks
                if event.reason == "complete" and not is_done and self.state.source is None:
                    self.complain("the run", "is marked complete but is not")

    def _imported(self, event: events.TaskImported) -> None:
        """Check the id and the item numbers of an imported task, which has no reply to compare with."""
        expected = f"task_{self.state.accepted + 1:06d}"
        if event.task_id != expected:
            self.complain(event.task_id, f"was imported in place of {expected}")
        if event.instances == ():
            self.complain(event.task_id, "is marked finished but has no instances")
        rejected = [rejection.candidate_id for rejection in event.rejected]
        items = len(event.instances or ()) + len(rejected)
        self._numbers(import_id(event.task_id), rejected, of=items)

    def _numbers(self, name: str, ids: Sequence[str], *, of: int) -> list[int]:
        """Check that the items are numbered from 1 to `of` without duplicates, and return their numbers.

        If there is only one item, it may have the number 0, which means the whole reply.
        """
        numbers = differences.ordinals(name, ids)
        is_whole = of == 1 and numbers == [0]
        if not is_whole and not set(numbers) <= set(range(1, of + 1)):
            self.complain(name, "its items are not numbered #1, #2 and so on")
        if len(set(numbers)) < len(numbers):
            self.complain(name, "two of its items have the same number")
        return numbers

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    def _prompt(self, outcome: events.Outcome) -> None:
        """Check that the run would send this request at this point, and that it was sent only once."""
        name = outcome.request_id
        if name in self._asked:
            self.complain(name, f"has an outcome already, in line {self._asked[name]}")
            return
        self._asked[name] = self.result.entries
        if self.state.source is not None:
            problems = requests.unknown_names(self.state, outcome)
        else:
            request = requests.planned(self._run, self.state, name)
            if isinstance(request, str):
                problems = iter([request])
            else:
                self.result.prompts += 1
                problems = requests.prompt_differences(outcome, request)
        for why in problems:
            self.complain(name, why)

    def _outcome_of(self, event: events.Decision) -> events.Outcome:
        """Return the outcome on which a decision is based. Raises ValueError if there is none."""
        match event:
            case events.Committed():
                last = self.state.commits
                if event.number != last + 1:
                    raise ValueError(f"commit {event.number} cannot follow commit {last}")
                name = generation_id(event.number)
            case events.Classified():
                again = event.task_id in self.state.unclear_once
                name = classification_id(event.task_id, again=again)
            case events.InstancesWritten():
                name = instances_id(event.task_id)
        if name not in self.state.waiting:
            raise ValueError(f"{name} has no outcome to decide on")
        return self.state.waiting[name]

    # ── candidates ───────────────────────────────────────────────────────────────────────────────────────

    def _commit(self, event: events.Committed, outcome: events.Outcome) -> None:
        name = outcome.request_id
        if self.state.accepted >= self._target and self.state.source is None:
            why = f"was decided after the run had reached its target of {self._target}"
            self.complain(name, why)
        kept = [accepted.candidate_id for accepted in event.accepted]
        ids = kept + [rejection.candidate_id for rejection in event.rejected]
        numbers = self._numbers(name, ids, of=len(ids))[: len(kept)]
        if numbers != sorted(numbers):
            self.complain(name, "its candidates were not accepted in the order of the reply")
        for number, accepted in enumerate(event.accepted, start=self.state.accepted + 1):
            expected, became = f"task_{number:06d}", accepted.task_id
            if became != expected:
                self.complain(accepted.candidate_id, f"became {became}, not {expected}")
        for rejection in event.rejected:
            if rejection.reason is Reason.NOT_NOVEL and self._same_tokens:
                for why in objections(rejection, event.accepted, self.state, self.result):
                    self.complain(rejection.candidate_id, why)
        if self._same_decisions:
            self._commit_again(event, outcome)

    def _commit_again(self, event: events.Committed, outcome: events.Outcome) -> None:
        name = outcome.request_id
        self.result.replies += 1
        self.result.accepted += len(event.accepted)
        self.result.rejected += len(event.rejected)
        try:
            again = commit(self.state, self._run.config, outcome)
        except KeyError as error:
            self.complain(name, f"cannot be decided again without {error.args[0]} in the pool")
            return
        journaled, decided = differences.by_candidate(event), differences.by_candidate(again)
        self._compare(journaled, decided)
        if journaled == decided and list(journaled) != list(decided):
            self.complain(name, "its candidates are in a different order in the journal")

    def _compare(
        self,
        journaled: Mapping[str, differences.Decided],
        decided: Mapping[str, differences.Decided],
    ) -> None:
        for item in sorted(journaled.keys() | decided.keys(), key=differences.natural):
            for why in differences.differences(journaled.get(item), decided.get(item)):
                self.complain(item, why)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────

    def _classified(self, event: events.Classified, outcome: events.Outcome) -> None:
        if not self._same_parsers:
            return
        self.result.answers += 1
        again = self._run.recipe.stage(ClassifyStage).decide(self.state, self._run.config, outcome)
        if again != event:
            self.complain(
                outcome.request_id,
                f"the journal says {differences.kind(event)}; "
                f"parsed again, it is {differences.kind(again)}",
            )

    def _instances(self, event: events.InstancesWritten, outcome: events.Outcome) -> None:
        name = outcome.request_id
        ids = [rejection.candidate_id for rejection in event.rejected]
        self._numbers(name, ids, of=len(event.instances) + len(ids))
        if not self._same_parsers:
            return
        self.result.tasks += 1
        self.result.kept += len(event.instances)
        self.result.left_out += len(event.rejected)
        again = self._run.recipe.stage(InstancesStage).decide(self.state, self._run.config, outcome)
        for why in differences.instance_differences(event.instances, again.instances):
            self.complain(name, why)
        self._compare(
            {rejection.candidate_id: rejection for rejection in event.rejected},
            {rejection.candidate_id: rejection for rejection in again.rejected},
        )


def _not_planned(source: events.RefilteredFrom | None) -> str:
    if source is None:
        return ""
    return (
        f"This is a refiltered run. Its prompts come from {source.source}; verify that run to check them. "
        "Decisions, order and counts were checked."
    )


def _not_decided(versions: Mapping[str, int]) -> str:
    others = [
        f"version {versions.get(name, 'none')} of the {name} (here it is {version})"
        for name, version in VERSIONS.items()
        if versions.get(name) != version
    ]
    if not others:
        return ""
    return (
        f"The run was made with {' and '.join(others)}, so decisions that depend on that were not checked. "
        "Order, counts and prompts were checked."
    )
