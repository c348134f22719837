"""Index a run and its whole journal by id and by text.

The index covers everything that a model wrote: tasks, instances, rejected items, and the rest of each reply.

    History(*read_history("my-run")).by_id("generate/000001#7")
    → CandidateResult(id="generate/000001#7", outcome="rejected", reason="not_novel", witness=…, …)
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from selfinstruct import journal_events as events
from selfinstruct.analysis.explain import results
from selfinstruct.analysis.explain.text_search import Texts, place
from selfinstruct.analysis.explain.unanswered_requests import problem
from selfinstruct.analysis.verdict import text_of, verdict
from selfinstruct.pipeline.decide import rules_of
from selfinstruct.pipeline.parse.shared import folded
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
"""Number of characters shown before and after a match in a long line."""


class History:
    """A run and its whole journal.

    `run` and `entries` come from `read_history`; the entries are applied to the run. `shown` formats text
    as the terminal shows it, so that a search also matches text copied from the terminal. Raises
    JournalError.
    """

    def __init__(
        self, run: Run, entries: Iterable[Entry[events.Event]], *, shown: Callable[[str], str] = str
    ) -> None:
        self.run = run
        self._shown = shown
        self.outcomes: dict[str, tuple[int, events.Outcome]] = {}
        """Each request's outcome and its line in the journal, by request id."""
        self.decisions: dict[str, tuple[int, events.Decision | events.TaskImported]] = {}
        """Each decision and its line in the journal, by request id, or by `import_id` for imported tasks."""
        self.source_tasks: dict[str, events.SourceTask] = {}
        """Tasks that only a refiltered run's source has, by their "source:…" ids in this run."""
        self._shown_in: Counter[str] = Counter()
        """Number of answered prompts that showed a task, by task id."""
        self._witness_against: Counter[str] = Counter()
        """Number of candidates that were rejected with a task as their witness, by task id."""
        unclear: set[str] = set()
        for entry in replay(run, entries):
            match entry.event:
                case events.CompletionReceived() | events.RequestFailed() as outcome:
                    self.outcomes[outcome.request_id] = entry.seq, outcome
                    if isinstance(outcome, events.CompletionReceived):
                        self._shown_in.update(set(outcome.demonstration_ids))
                case events.Committed() as commit:
                    self.decisions[generation_id(commit.number)] = entry.seq, commit
                    witnesses = (rejection.nearest for rejection in commit.rejected)
                    self._witness_against.update(near.task_id for near in witnesses if near)
                case events.Classified() as kind:
                    name = classification_id(kind.task_id, again=kind.task_id in unclear)
                    self.decisions[name] = entry.seq, kind
                    unclear.add(kind.task_id)
                case events.InstancesWritten() as written:
                    self.decisions[instances_id(written.task_id)] = entry.seq, written
                case events.SourceTask() as there:
                    self.source_tasks[there.task_id] = there
                case events.TaskImported() as imported:
                    self.decisions[import_id(imported.task_id)] = entry.seq, imported

    # ── by id ────────────────────────────────────────────────────────────────────────────────────────────

    def by_id(self, name: str) -> results.Result | None:
        """Return the task, candidate, instance or request with this id; None if the run has none."""
        if name in self.outcomes:
            return self.request(name)
        name = name.removeprefix("import/") if "#" not in name else name
        item = next((item for item in self.items(name.rpartition("#")[0]) if item.id == name), None)
        if isinstance(item, results.CandidateResult) and item.task_id is not None:
            name = item.task_id
        elif item is not None:
            return item
        try:
            return self.task(self.run.state.pool.by_id(name))
        except KeyError:
            return None

    def task(self, task: Task) -> results.TaskResult:
        """Return the origin and the history of a task in the pool."""
        origin, candidate = task.provenance, None
        if origin is not None:
            items = self.items(origin.request_id)
            candidate = next(
                item
                for item in items
                if isinstance(item, results.CandidateResult) and item.task_id == task.id
            )
        line, event = self.decisions.get(import_id(task.id), (0, None))
        imported = event if isinstance(event, events.TaskImported) else None
        rejected = [*self.items(import_id(task.id)), *self.items(instances_id(task.id))]
        kinds = {"seed": "seed task", "imported": "imported task", "generated": "task"}
        return results.TaskResult(
            kind=kinds[task.origin],  # type: ignore[arg-type]
            id=task.id,
            instruction=task.instruction,
            candidate=candidate,
            place=imported.place if imported else "",
            line=line,
            model=imported.model if imported else None,
            imported_answer=imported.answer if imported else None,
            is_classification=task.is_classification,
            answers=tuple(self._answers(task)),
            instances=task.instances,
            rejected=tuple(
                item
                for item in rejected
                if isinstance(item, results.InstanceResult) and item.reason
            ),
            demonstrations=tuple(
                (shown, self.run.state.instruction(shown)) for shown in origin.demonstration_ids
            )
            if origin is not None
            else (),
            shown=self._shown_in[task.id],
            witness_against=self._witness_against[task.id],
        )

    def _answers(self, task: Task) -> Iterator[results.AnswerResult]:
        for again in (False, True):
            name = classification_id(task.id, again=again)
            if (answer := self._answer(name)) is not None:
                yield results.AnswerResult(request_id=name, answer=answer, text=self._reply(name))

    def request(self, name: str) -> results.RequestResult:
        """Return the request with this id, which must have an outcome."""
        received, outcome = self.outcomes[name]
        answered = outcome if isinstance(outcome, events.CompletionReceived) else None
        return results.RequestResult(
            id=name,
            stage=outcome.stage,
            received=received,
            text=self._reply(name),
            model=answered.completion.model if answered else "",
            finish_reason=answered.completion.finish_reason if answered else None,
            demonstrations=answered.demonstration_ids if answered else (),
            problem=self._problem(name),
            answer=self._answer(name),
            items=tuple(self.items(name)),
        )

    def items(self, name: str) -> Iterator[results.CandidateResult | results.InstanceResult]:
        """Yield the items of the reply to a request, or of an imported task, in their original order."""
        _, decision = self.decisions.get(name, (0, None))
        if isinstance(decision, events.Committed):
            yield from self._candidates(name, decision)
        elif isinstance(decision, events.InstancesWritten | events.TaskImported):
            yield from self._instances(name, decision)

    def _candidates(
        self, name: str, decision: events.Committed
    ) -> Iterator[results.CandidateResult]:
        received, outcome = self.outcomes[name]
        if not isinstance(outcome, events.CompletionReceived):
            return  # A failed request has no candidates.
        decided, _ = self.decisions[name]
        # A candidate is compared with the pool before the reply and with tasks already accepted from it.
        before = upto = self.run.state.pool_sizes[decision.number - 1]
        for item in decision.items:
            rejection = item if isinstance(item, Rejection) else None
            text, number = text_of(item), item_number(item.candidate_id)
            yield results.CandidateResult(
                id=item.candidate_id,
                **verdict(item),
                stage=rejection.stage if rejection else "accepted",
                task_id=item.task_id if isinstance(item, events.Accepted) else None,
                witness=self._witness(rejection, before) if rejection else None,
                nearest=self._nearest(text, upto=upto, before=before) if number else None,
                request_id=name,
                ordinal=number,
                items=len(decision.items),
                model=outcome.completion.model,
                received=received,
                decided=decided,
                demonstrations=outcome.demonstration_ids,
            )
            upto += rejection is None

    def _witness(self, rejection: Rejection, before: int) -> results.Near | None:
        near = rejection.nearest
        if near is None:
            return None
        places = (n for n, task in enumerate(self.run.state.pool) if task.id == near.task_id)
        position = next(places, None)
        if position is None:
            return results.Near(task_id=near.task_id, rouge_l=near.rouge_l, instruction="")
        return self._near(position, near.rouge_l, before)

    def _nearest(self, text: str, *, upto: int, before: int) -> results.Near | None:
        """Return the most similar of the first `upto` tasks in the pool; None if `text` has no tokens.

        Tasks from position `before` on were accepted from the same reply as the text.
        """
        index = self.run.state.index
        found = index.nearest(text, upto=upto) if index.tokens(text) else None
        return self._near(*found, before) if found is not None else None

    def _near(self, position: int, rouge_l: float, before: int) -> results.Near:
        task = self.run.state.pool[position]
        return results.Near(
            task_id=task.id,
            rouge_l=rouge_l,
            instruction=task.instruction,
            in_same_reply=position >= before,
        )

    def _instances(
        self, name: str, decision: events.InstancesWritten | events.TaskImported
    ) -> Iterator[results.InstanceResult]:
        decided, _ = self.decisions[name]
        received, _ = self.outcomes.get(name, (decided, None))
        instruction = self.run.state.pool.by_id(decision.task_id).instruction
        for number, item in in_reply_order(decision.instances or (), decision.rejected):
            yield results.InstanceResult(
                id=f"{name}#{number}",
                task_id=decision.task_id,
                instruction=instruction,
                **verdict(item),
                instance=item if isinstance(item, Instance) else None,
                received=received,
                decided=decided,
                place=decision.place if isinstance(decision, events.TaskImported) else "",
            )

    def _reply(self, name: str) -> str:
        _, outcome = self.outcomes[name]
        return outcome.completion.text if isinstance(outcome, events.CompletionReceived) else ""

    def _answer(self, name: str) -> Answer | None:
        _, decision = self.decisions.get(name, (0, None))
        return decision.answer if isinstance(decision, events.Classified) else None

    def _problem(self, name: str) -> str:
        _, outcome = self.outcomes[name]
        return problem(self.run, outcome, is_decided=name in self.decisions)

    # ── by text ──────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def texts(self) -> Texts:
        """All texts of the run, indexed for a search."""
        items: list[tuple[tuple[str, ...], str]] = []
        instances: list[results.InstanceResult] = []
        for name, (_, decision) in self.decisions.items():
            if isinstance(decision, events.Committed):
                for accepted in decision.accepted:
                    parts = (accepted.instruction, *_parts(accepted.instance))
                    items.append((parts, accepted.task_id))
                items += [((r.text,), r.candidate_id) for r in decision.rejected]
            elif isinstance(decision, events.InstancesWritten | events.TaskImported):
                instances += self._instances(name, decision)
            if isinstance(decision, events.TaskImported):
                items.append(((decision.instruction,), decision.task_id))
        items += [((item.text, *_parts(item.instance)), item.id) for item in instances]
        # Seed tasks come last, because users usually search for texts that the model wrote.
        items += [((task.instruction,), task.id) for task in self.run.seed_tasks]
        replies = [
            (outcome.completion.text, name)
            for name, (_, outcome) in sorted(self.outcomes.items())
            if isinstance(outcome, events.CompletionReceived)
        ]
        return Texts(items, replies, self._shown)

    def excerpt(self, name: str, query: str) -> results.Excerpt:
        """Return the lines around a text in the reply to request `name`, which must contain the text."""
        text, start, end = place(self._reply(name), query, self._shown)
        line = text.count("\n", 0, start) + 1
        # Show the whole lines of the match, unless they are too long.
        first, last = text.rfind("\n", 0, start) + 1, (text + "\n").index("\n", end)
        first, last = max(first, start - _AROUND), min(last, end + _AROUND)
        before = "…" if text[first - 1 : first].strip("\n") else ""
        after = "…" if text[last : last + 1].strip("\n") else ""
        return results.Excerpt(
            request_id=name,
            received=self.outcomes[name][0],
            line=line,
            text=f"{before}{text[first:last]}{after}",
            problem=self._problem(name),
            answer=self._answer(name),
            items=tuple(item for item in self.items(name) if _overlaps(item, folded(query))),
        )

    def as_candidate(self, text: str) -> results.NewCandidate:
        """Decide on a text as if it were the next candidate. The text must not be blank."""
        run, state = self.run, self.run.state
        reasons = [reason for reason, objects in rules_of(state, run.config) if objects(text)]
        nearest = self._nearest(text, upto=len(state.pool), before=len(state.pool))
        if nearest is not None and nearest.rouge_l > run.config.threshold:
            reasons.append(Reason.NOT_NOVEL)
        return results.NewCandidate(text=text, reasons=tuple(reasons), nearest=nearest)


def _parts(instance: Instance | None) -> tuple[str, ...]:
    return (instance.input, instance.output) if instance is not None else ()


def _overlaps(item: results.CandidateResult | results.InstanceResult, query: str) -> bool:
    """Return whether a folded query overlaps an item.

    It does if the query contains the item's text, or if the item contains the query after its first word,
    which may be a number or label.
    """
    _, _, rest = query.partition(" ")
    parts = _parts(item.instance) if isinstance(item, results.InstanceResult) else ()
    return any(
        f" {text} " in f" {query} " or (bool(rest) and rest in text)
        for text in map(folded, (item.text, *parts))
        if text
    )
