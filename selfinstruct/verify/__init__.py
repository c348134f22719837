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

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from selfinstruct.decide import classified, commit, instances_written
from selfinstruct.events import (
    Accepted,
    Classified,
    Committed,
    CompletionReceived,
    Decision,
    InstancesWritten,
    Outcome,
    RefilteredFrom,
    RequestFailed,
    RunFinished,
    RunStarted,
    SourceTask,
)
from selfinstruct.frozen import VERSIONS
from selfinstruct.journal import Entry
from selfinstruct.plan import generation_request, is_plannable, task_request
from selfinstruct.records import Reason, Rejection, Request
from selfinstruct.run_directory import Run
from selfinstruct.state import apply, classification_id, generation_id, initial, instances_id
from selfinstruct.tokenizers import TOKENIZERS
from selfinstruct.verify import differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in the journal that does not hold."""

    seq: int
    """Line of the journal."""
    what: str
    """A request, a candidate or a task."""
    why: str
    """In plain words; holds text of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked, and what does not hold."""

    entries: int
    """Lines of the journal."""
    prompts: int
    """Requests whose prompt was planned again and compared."""
    replies: int
    """Generation requests whose candidates were decided again."""
    accepted: int
    """Candidates in them, as the journal has them."""
    rejected: int
    answers: int
    """Answers about kinds that were read again."""
    tasks: int
    """Tasks whose instances were read again."""
    kept: int
    """Instances of these, as the journal has them."""
    left_out: int
    witnesses: int
    """Witnesses whose score was computed again, by rouge-score."""
    has_task_stages: bool
    """Whether the recipe asks for kinds and instances; otherwise these stand in the candidates."""
    outcomes: int
    """Requests with an outcome."""
    not_planned: str
    """Why prompts could not be planned again; "" where all were."""
    not_decided: str
    """Why decisions could not be made again; "" where all were."""
    problems: tuple[Problem, ...]

    @property
    def holds(self) -> bool:
        """Whether all that was checked is so."""
        return not self.problems

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing to check: no reply."""
        return not self.outcomes and not self.problems


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
    witnesses: int = 0

    def __post_init__(self) -> None:
        self.state = initial(self.run.config, self.run.seed_tasks)
        self._target = self.run.config.num_instructions
        self._asked: dict[str, int] = {}
        """Line of the outcome, by request id."""
        self._score: Callable[[str, str], float] | None = None
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
            witnesses=self.witnesses,
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
            case RunFinished():
                is_done = self.state.accepted >= self._target and not self.state.open_tasks
                if event.reason == "complete" and not is_done and self.state.source is None:
                    self.complain("the run", "is called complete, and is not")

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    def _prompt(self, outcome: Outcome) -> None:
        """Is this request what would be asked today, and was it asked once?"""
        name = outcome.request_id
        if name in self._asked:
            self.complain(name, f"has an outcome already, in line {self._asked[name]}")
            return
        self._asked[name] = self.entries
        if self.state.source is not None:
            self._renamed(outcome)
            return
        request = self._planned(name)
        if isinstance(request, str):
            self.complain(name, request)
            return
        self.prompts += 1
        if outcome.stage != request.stage:
            self.complain(name, f"is journaled under {outcome.stage}, not {request.stage}")
        if isinstance(outcome, CompletionReceived):
            prompt = request.prompt
            if outcome.demonstration_ids != prompt.demonstration_ids:
                journaled = differences.listed(outcome.demonstration_ids)
                self.complain(
                    name,
                    f"the journal says that its prompt shows {journaled}; "
                    f"planned again it shows {differences.listed(prompt.demonstration_ids)}",
                )
            if outcome.template != prompt.template:
                self.complain(
                    name, f"its template is {prompt.template}; the journal says {outcome.template}"
                )
        if outcome.prompt_sha256 != request.prompt.sha256:
            self.complain(name, "its prompt, planned again, is another than the one that was sent")

    def _renamed(self, outcome: Outcome) -> None:
        """Is all that another run's reply is about known here? Its prompt was planned there."""
        names = outcome.demonstration_ids if isinstance(outcome, CompletionReceived) else ()
        if outcome.stage != "generate":
            names = (outcome.request_id.split("/")[1],)
        for name in names:
            try:
                self.state.instruction(name)
            except KeyError:
                self.complain(outcome.request_id, f"is about {name}, which is not known here")

    def _planned(self, name: str) -> Request | str:
        """The request of that id as it is planned from here, or what speaks against it."""
        run, state = self.run, self.state
        stage, _, rest = name.partition("/")
        if stage == "generate":
            number = int(rest) if re.fullmatch(r"\d{1,9}", rest, re.ASCII) else 0
            if number < 1 or generation_id(number) != name:
                return "is no id of a request"
            if number <= state.commits:
                return f"was decided without an outcome: commit {number} stands before it"
            if not is_plannable(state, run.config, number):
                return "was asked before all that its prompt depends on was decided"
            return generation_request(state, run.config, run.recipe, run.templates, number)
        task_id = rest.partition("/")[0]
        try:
            task = state.pool.by_id(task_id)
        except KeyError:
            return "asks about a task that was not in the pool then"
        if task.is_final:
            return "asks about a task of which all is known"
        request = task_request(state, run.config, run.templates, task)
        if request.id != name:
            return f"is not what is to be asked about {task_id} here, which is {request.id}"
        return request

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
            self._witness(rejection, event.accepted)
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

    def _witness(self, rejection: Rejection, accepted: Sequence[Accepted]) -> None:
        """Is the witness that a rejection names over the threshold, and was it there?"""
        if rejection.reason is not Reason.NOT_NOVEL or not self._same_tokens:
            return
        if rejection.nearest is None:
            self.complain(rejection.candidate_id, "is called not novel without a witness")
            return
        named = rejection.nearest
        in_reply = [
            a.instruction
            for a in accepted
            if a.task_id == named.task_id
            and differences.natural(a.candidate_id) < differences.natural(rejection.candidate_id)
        ]
        try:
            text = in_reply[0] if in_reply else self.state.pool.by_id(named.task_id).instruction
        except KeyError:
            self.complain(
                rejection.candidate_id, f"its witness {named.task_id} was not in the pool then"
            )
            return
        self.witnesses += 1
        if self._score is None:
            self._score = _rouge_l(self.run.config.tokenizer)
        score = self._score(text, rejection.text)
        if named.rouge_l != score:
            self.complain(
                rejection.candidate_id,
                f"the journal gives it a ROUGE-L of {named.rouge_l} to {named.task_id}; it is {score}",
            )
        if score <= self.run.config.threshold:
            self.complain(
                rejection.candidate_id,
                f"its witness {named.task_id} has a ROUGE-L of {score}, which is not over "
                f"{self.run.config.threshold}",
            )

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


def _rouge_l(tokenizer: str) -> Callable[[str, str], float]:
    """ROUGE-L F by the rouge-score package: its own tokenizer for "rouge", ours for what it does not know."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    tokens = DefaultTokenizer(use_stemmer=False) if tokenizer == "rouge" else _Ours(tokenizer)
    scorer = RougeScorer(["rougeL"], tokenizer=tokens)
    return lambda pooled, text: float(scorer.score(pooled, text)["rougeL"].fmeasure)


class _Ours:
    """One of our tokenizers as rouge-score takes it."""

    def __init__(self, name: str) -> None:
        self.tokenize = TOKENIZERS[name]
