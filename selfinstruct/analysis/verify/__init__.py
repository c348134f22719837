"""Does a journal follow from its replies? Every prompt is planned and every decision made once more.

Knows how to fold a journal and to compare what it says with what `plan` and `decide` say today. Pure: a run
and its entries in, a `Verification` out. The journal says what was decided; nothing here changes that.

    run, entries = read_history("my-run")
    verify(run, entries).problems
    → (Problem(seq=7, what="generate/000001#7", why="the journal says rejected: too_short; decided again it is
       accepted"),)

A decision is compared whole, except for which witness a `not_novel` names: any that is over the threshold
will do. That it is, is checked with the rouge-score package itself, which has no part in the decision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from selfinstruct.analysis.verify import differences, requests
from selfinstruct.analysis.verify.results import Problem, Verification
from selfinstruct.analysis.verify.witnesses import Witnesses
from selfinstruct.events import (
    Classified,
    Committed,
    CompletionReceived,
    Decision,
    ImportedFile,
    InstancesWritten,
    Outcome,
    RefilteredFrom,
    RequestFailed,
    RunFinished,
    RunStarted,
    SourceTask,
    TaskImported,
)
from selfinstruct.pipeline.decide import classified, commit, instances_written
from selfinstruct.pipeline.state import apply, initial
from selfinstruct.records import Reason
from selfinstruct.records.ids import classification_id, generation_id, import_id, instances_id
from selfinstruct.runner.directory import Run
from selfinstruct.runner.journal_line import Entry
from selfinstruct.runner.manifest import VERSIONS

__all__ = ["Problem", "Verification", "verify"]


def verify(run: Run, entries: Iterable[Entry]) -> Verification:
    """Check entries from the first one on. Of `run` only what is frozen is used, and nothing is changed.

    A line that cannot follow those before it ends the check: what comes after it has nothing to stand on.
    Raises what `entries` raises.
    """
    check = _Check(run)
    for entry in entries:
        check.entries += 1
        try:
            check.look_at(entry)
            apply(check.state, entry.event)
        except (ValueError, KeyError) as error:
            check.complain(
                "the journal",
                f"this line cannot follow those before it ({error}); nothing after it was checked",
            )
            break
    check.look_at_the_end()
    return check.verification()


@dataclass
class _Check:
    """A check under way: the state just before an entry, and what was found so far."""

    run: Run
    problems: list[Problem] = field(default_factory=list)
    entries: int = 0
    prompts: int = 0
    replies: int = 0
    accepted: int = 0
    rejected: int = 0
    answers: int = 0
    tasks: int = 0
    kept: int = 0
    left_out: int = 0

    def __post_init__(self) -> None:
        self.state = initial(self.run.config, self.run.seed_tasks)
        self._target = self.run.config.num_instructions
        self._asked: dict[str, int] = {}
        """Line of the outcome, by request id."""
        self._witnesses = Witnesses(self.run.config)
        same = {
            name for name, version in VERSIONS.items() if self.run.versions.get(name) == version
        }
        self._same_tokens = "tokenizer" in same
        self._same_parsers = "parsers" in same
        self._same_decisions = same == VERSIONS.keys()

    def complain(self, what: str, why: str) -> None:
        self.problems.append(Problem(seq=self.entries, what=what, why=why))

    def verification(self) -> Verification:
        return Verification(
            entries=self.entries,
            prompts=self.prompts,
            replies=self.replies,
            accepted=self.accepted,
            rejected=self.rejected,
            answers=self.answers,
            tasks=self.tasks,
            kept=self.kept,
            left_out=self.left_out,
            witnesses=self._witnesses.scored,
            imported=self.state.imported,
            has_task_stages=self.run.recipe.has_task_stages,
            outcomes=len(self._asked),
            not_planned=_not_planned(self.state.source),
            not_decided=_not_decided(self.run.versions),
            problems=tuple(self.problems),
        )

    def look_at(self, entry: Entry) -> None:
        """Compare an entry with the state just before it. Raises ValueError where it cannot follow."""
        if entry.seq != self.entries:
            self.complain("the journal", f"line {self.entries} has the number {entry.seq}")
        event = entry.event
        match event:
            case RunStarted():
                target = event.settings.get("num_instructions")
                self._target = target if isinstance(target, int) else self._target
            case CompletionReceived() | RequestFailed():
                self._prompt(event)
            case Committed():
                self._commit(event, self._outcome_of(event))
            case Classified():
                self._classified(event, self._outcome_of(event))
            case InstancesWritten():
                self._instances(event, self._outcome_of(event))
            case RefilteredFrom():
                if self.entries > 1:
                    raise ValueError("only a first line can say where all replies come from")
            case SourceTask():
                if self.state.source is None:
                    raise ValueError("only a run that was refiltered has tasks of another one")
                if not event.task_id.startswith("source:"):  # it would hide a task of this one
                    self.complain(event.task_id, "is no name of a task of another run")
            case ImportedFile():
                if event.tasks < 0 or event.records < event.tasks:
                    self.complain(
                        event.name, f"names {event.tasks} tasks in {event.records} records"
                    )
            case TaskImported():
                self._imported(event)
            case RunFinished():
                is_done = self.state.accepted >= self._target and not self.state.open_tasks
                if event.reason == "complete" and not is_done and self.state.source is None:
                    self.complain("the run", "is called complete, and is not")

    def look_at_the_end(self) -> None:
        """Notice what a whole journal would have, and this one has not."""
        lost = self.run.imported - self.state.imported
        if lost > 0 and not self.problems:
            self.complain("the journal", f"it ends before {lost:,} of the tasks that were imported")

    def _imported(self, event: TaskImported) -> None:
        """There is no reply here that it could follow from; only its place and its sums can be wrong."""
        expected = f"task_{self.state.accepted + 1:06d}"
        if event.task_id != expected:
            self.complain(event.task_id, f"was imported in the place of {expected}")
        if event.instances == ():
            self.complain(event.task_id, "is called finished, and has no instance")
        name = import_id(event.task_id)
        ordinals = differences.ordinals(name, [r.candidate_id for r in event.rejected])
        items = len(event.instances or ()) + len(ordinals)
        if len(set(ordinals)) < len(ordinals) or not set(ordinals) <= set(range(1, items + 1)):
            self.complain(event.task_id, "its instances, kept and rejected, do not add up")

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    def _prompt(self, outcome: Outcome) -> None:
        """Is this request what would be asked today, and was it asked once?"""
        name = outcome.request_id
        if name in self._asked:
            self.complain(name, f"has an outcome already, in line {self._asked[name]}")
            return
        self._asked[name] = self.entries
        if self.state.source is not None:
            found = requests.unknown_names(self.state, outcome)
        else:
            request = requests.planned(self.run, self.state, name)
            if isinstance(request, str):
                found = iter([request])
            else:
                self.prompts += 1
                found = requests.prompt_differences(outcome, request)
        for why in found:
            self.complain(name, why)

    def _outcome_of(self, event: Decision) -> Outcome:
        """The outcome that a decision follows from. Raises ValueError where there is none."""
        match event:
            case Committed():
                if event.number != self.state.commits + 1:
                    raise ValueError(
                        f"commit {event.number} cannot follow commit {self.state.commits}"
                    )
                name = generation_id(event.number)
            case Classified():
                again = event.task_id in self.state.unclear_once
                name = classification_id(event.task_id, again=again)
            case InstancesWritten():
                name = instances_id(event.task_id)
        if name not in self.state.waiting:
            raise ValueError(f"{name} has no outcome that it could follow from")
        return self.state.waiting[name]

    # ── candidates ───────────────────────────────────────────────────────────────────────────────────────

    def _commit(self, event: Committed, outcome: Outcome) -> None:
        name = outcome.request_id
        if self.state.accepted >= self._target and self.state.source is None:
            self.complain(name, f"was decided although all {self._target} were there")
        kept = differences.ordinals(name, [accepted.candidate_id for accepted in event.accepted])
        rejected = differences.ordinals(
            name, [rejection.candidate_id for rejection in event.rejected]
        )
        ordinals = sorted(kept + rejected)
        is_whole = rejected == [0] and not kept
        if not is_whole and ordinals != list(range(1, len(ordinals) + 1)):
            self.complain(name, "its candidates are not numbered #1, #2 and so on, each once")
        if kept != sorted(kept):
            self.complain(name, "its candidates were not accepted in the order of the reply")
        for place, accepted in enumerate(event.accepted, start=self.state.accepted + 1):
            if accepted.task_id != f"task_{place:06d}":
                self.complain(
                    accepted.candidate_id, f"became {accepted.task_id}, not task_{place:06d}"
                )
        for rejection in event.rejected:
            if rejection.reason is Reason.NOT_NOVEL and self._same_tokens:
                for why in self._witnesses.objections(rejection, event.accepted, self.state):
                    self.complain(rejection.candidate_id, why)
        if self._same_decisions:
            self._commit_again(event, outcome)

    def _commit_again(self, event: Committed, outcome: Outcome) -> None:
        self.replies += 1
        self.accepted += len(event.accepted)
        self.rejected += len(event.rejected)
        try:
            again = commit(self.state, self.run.config, outcome)
        except KeyError as error:
            self.complain(
                outcome.request_id, f"cannot be decided again without {error.args[0]} in the pool"
            )
            return
        journaled, decided = differences.verdicts(event), differences.verdicts(again)
        for item in sorted(journaled.keys() | decided.keys(), key=differences.natural):
            for why in differences.differences(journaled.get(item), decided.get(item)):
                self.complain(item, why)
        if journaled == decided and list(journaled) != list(decided):
            self.complain(outcome.request_id, "its candidates stand in another order")

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────

    def _classified(self, event: Classified, outcome: Outcome) -> None:
        if not self._same_parsers:
            return
        self.answers += 1
        again = classified(self.state, self.run.config, event.task_id, outcome)
        if again != event:
            self.complain(
                outcome.request_id,
                f"the journal says {differences.told_kind(event)}; "
                f"read again it is {differences.told_kind(again)}",
            )

    def _instances(self, event: InstancesWritten, outcome: Outcome) -> None:
        name = outcome.request_id
        ordinals = differences.ordinals(
            name, [rejection.candidate_id for rejection in event.rejected]
        )
        items = len(event.instances) + len(ordinals)
        is_whole = ordinals == [0] and not event.instances
        if not is_whole and not set(ordinals) <= set(range(1, items + 1)):
            self.complain(name, "its instances, kept and rejected, do not add up")
        if len(set(ordinals)) < len(ordinals):
            self.complain(name, "one of its instances was rejected twice")
        if not self._same_parsers:
            return
        self.tasks += 1
        self.kept += len(event.instances)
        self.left_out += len(event.rejected)
        again = instances_written(self.state, self.run.config, event.task_id, outcome)
        for why in differences.instance_differences(event.instances, again.instances):
            self.complain(name, why)
        journaled = {rejection.candidate_id: rejection for rejection in event.rejected}
        decided = {rejection.candidate_id: rejection for rejection in again.rejected}
        for item in sorted(journaled.keys() | decided.keys(), key=differences.natural):
            for why in differences.differences(journaled.get(item), decided.get(item)):
                self.complain(item, why)


def _not_planned(source: RefilteredFrom | None) -> str:
    if source is None:
        return ""
    return (
        f"The run was refiltered: its prompts were planned in {source.source}, and `verify` plans them again "
        "there; decisions, order and sums were checked."
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
        f"The run was made with {' and '.join(others)}, so what rests on that could not be decided again; "
        "order, sums and prompts were checked."
    )
