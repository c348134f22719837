"""A run and everything in its journal, for looking things up: by id, and by text.

Knows how to find what a model wrote, wherever it ended: as a task, as an instance, among the rejections, or
in a reply outside of all that was taken for an item.

    History(*read_history("my-run")).by_id("generate/000001#7")
    → CandidateFate(id="generate/000001#7", verdict="rejected", reason="not_novel", witness=…, nearest=…, …)
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice

from selfinstruct.analysis.explain.initial_tasks import imported_fate, part_of, seed_fate
from selfinstruct.analysis.explain.missing_results import problem
from selfinstruct.analysis.explain.results import (
    MEANING,
    AnswerGiven,
    CandidateFate,
    Fate,
    ImportedFate,
    InstanceFate,
    Near,
    Outlook,
    Passage,
    RequestFate,
    SeedFate,
    TaskFate,
)
from selfinstruct.analysis.explain.text_search import Texts, place
from selfinstruct.events import (
    Accepted,
    Classified,
    Committed,
    CompletionReceived,
    Decision,
    InstancesWritten,
    Outcome,
    RequestFailed,
    SourceTask,
    TaskImported,
)
from selfinstruct.pipeline.filters import RULES, is_in_wrong_script
from selfinstruct.pipeline.parse.cleanup import folded
from selfinstruct.pipeline.parse.types import pair_text
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.records import Answer, Instance, Reason, Rejection, Task
from selfinstruct.records.ids import (
    classification_id,
    generation_id,
    import_id,
    in_reply_order,
    instances_id,
    item_number,
)
from selfinstruct.runner.directory import Run, replay
from selfinstruct.runner.journal_line import Entry

_AROUND = 200
"""Characters shown before and behind a place in a long line."""


class History:
    """A run and everything in its journal, for looking things up.

    `run` and `entries` are what `read_history` gives; the run is moved to its end. `shown` is how a text is
    shown to a person, who may copy it from there. Raises JournalError.
    """

    def __init__(
        self, run: Run, entries: Iterable[Entry], *, shown: Callable[[str], str] = str
    ) -> None:
        self.run = run
        self._shown = shown
        self.outcomes: dict[str, tuple[int, Outcome]] = {}
        """Line and outcome, by request id."""
        self.decisions: dict[str, tuple[int, Decision]] = {}
        """Line and decision, by the id of the request that it follows from."""
        self.source_tasks: dict[str, SourceTask] = {}
        """Those of the run that this one was refiltered from and none of this one, by their names here."""
        self.imported: dict[str, tuple[int, TaskImported]] = {}
        """Line and event, by the id of the task."""
        unclear: set[str] = set()
        for entry in replay(run, entries):
            match entry.event:
                case CompletionReceived() | RequestFailed() as outcome:
                    self.outcomes[outcome.request_id] = entry.seq, outcome
                case Committed() as commit:
                    self.decisions[generation_id(commit.number)] = entry.seq, commit
                case Classified() as kind:
                    name = classification_id(kind.task_id, again=kind.task_id in unclear)
                    self.decisions[name] = entry.seq, kind
                    unclear.add(kind.task_id)
                case InstancesWritten() as written:
                    self.decisions[instances_id(written.task_id)] = entry.seq, written
                case SourceTask() as there:
                    self.source_tasks[there.task_id] = there
                case TaskImported() as imported:
                    self.imported[imported.task_id] = entry.seq, imported

    # ── by id ────────────────────────────────────────────────────────────────────────────────────────────

    def by_id(self, name: str) -> Fate | None:
        """What has this id: a task, a candidate, an instance or a request."""
        if name in self.outcomes:
            return self.request(name)
        name = name.removeprefix("import/") if "#" not in name else name
        request_id = name.rpartition("#")[0]
        item = next((item for item in self.items(request_id) if item.id == name), None)
        if isinstance(item, CandidateFate) and item.task_id is not None:
            name = item.task_id
        elif item is not None:
            return item
        try:
            return self.task(self.run.state.pool.by_id(name))
        except KeyError:
            return None

    def seed_id(self, name: str) -> str:
        """The id of a seed task whose case may differ; else the same."""
        wanted = name.casefold()
        seeds = islice(self.run.state.pool, self.run.state.pool.seed_count)
        return next((task.id for task in seeds if task.id.casefold() == wanted), name)

    def is_like_a_seed_id(self, name: str) -> bool:
        """Whether a name differs from the id of a seed task in its number alone."""
        seeds = islice(self.run.state.pool, self.run.state.pool.seed_count)
        return bool(re.search(r"\d", name)) and _unnumbered(name) in {
            _unnumbered(task.id) for task in seeds
        }

    def task(self, task: Task) -> TaskFate | ImportedFate | SeedFate:
        """A task of the pool."""
        if task.provenance is None:
            return self._given(task)
        origin = task.provenance
        candidate = next(
            item
            for item in self.items(origin.request_id)
            if isinstance(item, CandidateFate) and item.task_id == task.id
        )
        return TaskFate(
            id=task.id,
            instruction=task.instruction,
            candidate=candidate,
            is_classification=task.is_classification,
            answers=self._answers(task),
            instances=task.instances,
            rejected=self._rejected(instances_id(task.id)),
            demonstrations=tuple(
                (shown, self.run.state.instruction(shown)) for shown in origin.demonstration_ids
            ),
        )

    def _given(self, task: Task) -> ImportedFate | SeedFate:
        part = part_of(task, self.outcomes.values(), self.decisions.values())
        if task.origin == "seed":
            return seed_fate(task, part)
        rejected = self._rejected(import_id(task.id)) + self._rejected(instances_id(task.id))
        imported = self.imported[task.id]
        return imported_fate(task, imported, self._answers(task), rejected, part)

    def _answers(self, task: Task) -> tuple[AnswerGiven, ...]:
        """What was answered to whether a task is a classification task."""
        given = []
        for again in (False, True):
            name = classification_id(task.id, again=again)
            answer = self._answer(name)
            if answer is not None:
                given.append(AnswerGiven(request_id=name, answer=answer, text=self._reply(name)))
        return tuple(given)

    def _rejected(self, name: str) -> tuple[InstanceFate, ...]:
        """The instances of a reply, or of what was imported, that were rejected."""
        found = (item for item in self.items(name) if isinstance(item, InstanceFate))
        return tuple(item for item in found if item.reason is not None)

    def request(self, name: str) -> RequestFate:
        """A request that has an outcome."""
        received, outcome = self.outcomes[name]
        answered = outcome if isinstance(outcome, CompletionReceived) else None
        completion = answered.completion if answered else None
        return RequestFate(
            id=name,
            stage=outcome.stage,
            received=received,
            text=self._reply(name),
            model=completion.model if completion else "",
            finish_reason=completion.finish_reason if completion else None,
            demonstrations=answered.demonstration_ids if answered else (),
            problem=self._problem(name),
            answer=self._answer(name),
            items=tuple(self.items(name)),
        )

    def items(self, name: str) -> "Iterator[CandidateFate | InstanceFate]":
        """What was found in the reply to a request, in the order of the text."""
        _, decision = self.decisions.get(name, (0, None))
        imported = self.imported.get(name.removeprefix("import/"))
        if isinstance(decision, Committed):
            yield from self._candidates(name, decision)
        elif isinstance(decision, InstancesWritten):
            yield from self._instances(name, decision)
        elif imported is not None and name.startswith("import/"):
            yield from self._instances(name, imported[1])

    def _candidates(self, name: str, decision: Committed) -> Iterator[CandidateFate]:
        received, outcome = self.outcomes[name]
        if not isinstance(outcome, CompletionReceived):
            return  # of a request that failed there are none
        decided, _ = self.decisions[name]
        # A candidate was compared with all of earlier replies, and with what this one had brought so far.
        before = upto = self.run.state.pool_sizes[decision.number - 1]
        items = decision.items
        for item in items:
            accepted = item if isinstance(item, Accepted) else None
            rejected = item if isinstance(item, Rejection) else None
            text = item.instruction if isinstance(item, Accepted) else item.text
            ordinal = item_number(item.candidate_id)
            yield CandidateFate(
                id=item.candidate_id,
                text=text,
                verdict="accepted" if accepted else "rejected",
                stage=rejected.stage if rejected else "accepted",
                reason=rejected.reason if rejected else None,
                meaning=MEANING[rejected.reason] if rejected else "",
                task_id=accepted.task_id if accepted else None,
                witness=self._witness(rejected, before) if rejected else None,
                # What a whole reply is like is no question: it is no task.
                nearest=self._nearest(text, upto=upto, before=before) if ordinal else None,
                request_id=name,
                ordinal=ordinal,
                items=len(items),
                model=outcome.completion.model,
                received=received,
                decided=decided,
                demonstrations=outcome.demonstration_ids,
            )
            upto += accepted is not None

    def _witness(self, rejection: Rejection, before: int) -> Near | None:
        if rejection.nearest is None:
            return None
        pool, named = self.run.state.pool, rejection.nearest.task_id
        place = next((n for n, task in enumerate(pool) if task.id == named), None)
        return Near(
            task_id=named,
            rouge_l=rejection.nearest.rouge_l,
            instruction=pool[place].instruction if place is not None else "",
            in_same_reply=place is not None and place >= before,
        )

    def _nearest(self, text: str, *, upto: int, before: int) -> Near | None:
        """The task most like a text among the first `upto`; those from place `before` on are of its reply."""
        state = self.run.state
        if not state.index.tokens(text):
            return None
        found = state.index.nearest(text, upto=upto)
        if found is None:
            return None
        place, rouge_l = found
        return Near(
            task_id=state.pool[place].id,
            rouge_l=rouge_l,
            instruction=state.pool[place].instruction,
            in_same_reply=place >= before,
        )

    def _instances(
        self, name: str, decision: InstancesWritten | TaskImported
    ) -> Iterator[InstanceFate]:
        place, instances = "", decision.instances or ()
        if isinstance(decision, TaskImported):
            received = decided = self.imported[decision.task_id][0]
            place = decision.place
        else:
            received, decided = self.outcomes[name][0], self.decisions[name][0]
        instruction = self.run.state.pool.by_id(decision.task_id).instruction
        for n, item in in_reply_order(instances, decision.rejected):
            rejection = item if isinstance(item, Rejection) else None
            instance = item if isinstance(item, Instance) else None
            yield InstanceFate(
                id=f"{name}#{n}",
                task_id=decision.task_id,
                instruction=instruction,
                verdict="rejected" if rejection else "accepted",
                instance=instance,
                text=rejection.text if rejection else pair_text(instance) if instance else "",
                reason=rejection.reason if rejection else None,
                meaning=MEANING[rejection.reason] if rejection else "",
                received=received,
                decided=decided,
                place=place,
            )

    def _reply(self, name: str) -> str:
        _, outcome = self.outcomes[name]
        return outcome.completion.text if isinstance(outcome, CompletionReceived) else ""

    def _answer(self, name: str) -> Answer | None:
        _, decision = self.decisions.get(name, (0, None))
        return decision.answer if isinstance(decision, Classified) else None

    def _problem(self, name: str) -> str:
        _, outcome = self.outcomes[name]
        return problem(self.run, outcome, is_decided=name in self.decisions)

    # ── by text ──────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def texts(self) -> Texts:
        """All that can be looked for by its text."""
        items: list[tuple[tuple[str, ...], str]] = []
        for name, (_, decision) in self.decisions.items():
            if isinstance(decision, Committed):
                for accepted in decision.accepted:
                    parts = (accepted.instruction, *_parts(accepted.instance))
                    items.append((parts, accepted.task_id))
                items += [((r.text,), r.candidate_id) for r in decision.rejected]
            elif isinstance(decision, InstancesWritten):
                for item in self._instances(name, decision):
                    items.append(((item.text, *_parts(item.instance)), item.id))
        for task_id, (_, imported) in self.imported.items():
            items.append(((imported.instruction,), task_id))
            for item in self._instances(import_id(task_id), imported):
                items.append(((item.text, *_parts(item.instance)), item.id))
        # Last: who asks is mostly after what the model wrote.
        seeds = islice(self.run.state.pool, self.run.state.pool.seed_count)
        items += [((task.instruction,), task.id) for task in seeds]
        replies = [
            (outcome.completion.text, name)
            for name, (_, outcome) in sorted(self.outcomes.items())
            if isinstance(outcome, CompletionReceived)
        ]
        return Texts(items, replies, self._shown)

    def passage(self, name: str, query: str) -> Passage:
        """The place of a text in the reply to a request, which has it."""
        text, start, end = place(self._reply(name), query, self._shown)
        line = text.count("\n", 0, start) + 1
        # The lines that it stands in, unless these are long.
        first, last = text.rfind("\n", 0, start) + 1, (text + "\n").index("\n", end)
        first, last = max(first, start - _AROUND), min(last, end + _AROUND)
        before = "…" if text[first - 1 : first].strip("\n") else ""
        after = "…" if text[last : last + 1].strip("\n") else ""
        return Passage(
            request_id=name,
            received=self.outcomes[name][0],
            line=line,
            excerpt=f"{before}{text[first:last]}{after}",
            problem=self._problem(name),
            answer=self._answer(name),
            items=tuple(item for item in self.items(name) if _is_of(item, folded(query))),
        )

    def outlook(self, text: str) -> Outlook:
        """What would become of a text, which holds more than white space, as the next candidate."""
        run, state = self.run, self.run.state
        profile = PROFILES[run.config.profile]
        reasons = [
            reason for reason, objects in RULES[profile.name, run.config.recipe] if objects(text)
        ]
        if profile.checks_script and is_in_wrong_script(text, state.scripts):
            reasons.append(Reason.WRONG_SCRIPT)
        if profile.needs_tokens and not state.index.tokens(text):
            reasons.append(Reason.NO_TOKENS)
        nearest = self._nearest(text, upto=len(state.pool), before=len(state.pool))
        if nearest is not None and nearest.rouge_l > run.config.threshold:
            reasons.append(Reason.NOT_NOVEL)
        return Outlook(text=text, reasons=tuple(reasons), nearest=nearest)


def _parts(instance: Instance | None) -> tuple[str, ...]:
    return (instance.input, instance.output) if instance is not None else ()


def _is_of(item: CandidateFate | InstanceFate, passage: str) -> bool:
    """Whether a folded passage holds the item, or is a part of it behind a number or a label."""
    _, _, rest = passage.partition(" ")
    parts = (item.text,) if isinstance(item, CandidateFate) else (item.text, *_parts(item.instance))
    return any(
        f" {text} " in f" {passage} " or (bool(rest) and rest in text)
        for text in map(folded, parts)
        if text
    )


def _unnumbered(name: str) -> str:
    return re.sub(r"\d+", "0", name.casefold())
