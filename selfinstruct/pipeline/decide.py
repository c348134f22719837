"""Decide what to accept from replies. A decision depends only on the reply, the state and the settings.

    reply → parse → filters → novelty → accepted task | rejection          `Committed`, one for each reply

Every candidate is either accepted or rejected, so accepted and rejected candidates add up to all candidates.
The stages of the recipe decide replies about a task.
"""

from collections.abc import Iterator, Sequence

from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import Accepted, Committed, CompletionReceived, Decision, Outcome
from selfinstruct.pipeline.filters import Rule, rejection_reason
from selfinstruct.pipeline.novelty import NoveltyResult
from selfinstruct.pipeline.parse.types import AskedList
from selfinstruct.pipeline.recipes import recipe_of
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Candidate, Neighbour, Reason, Rejection, rejected_text
from selfinstruct.records.ids import generation_id


def next_decisions(state: RunState, config: RunConfig) -> Iterator[Decision]:
    """Yield the decisions that can be made now and do not depend on each other.

    At most one of them is a commit, because requests are committed in the order of their numbers. There is no
    commit once the target is reached.
    """
    if state.accepted < config.num_instructions:
        outcome = state.waiting.get(generation_id(state.commits + 1))
        if outcome is not None:
            yield commit(state, config, outcome)
    stages = {stage.name: stage for stage in recipe_of(config).task_stages}
    for outcome in state.waiting.values():
        if outcome.stage in stages:
            yield stages[outcome.stage].decide(state, config, outcome)


def commit(state: RunState, config: RunConfig, outcome: Outcome) -> Committed:
    """Decide on all candidates in the reply to the next generation request.

    Each candidate is compared with the pool and with the candidates accepted earlier in the same reply.
    """
    number = state.commits + 1
    if not isinstance(outcome, CompletionReceived):
        return Committed(number=number, accepted=(), rejected=())
    parsed = recipe_of(config).generate.parsers[config.profile](
        outcome.request_id,
        outcome.completion,
        AskedList(
            first_number=config.demonstrations + 1,
            demonstrations=tuple(
                state.instruction(task_id) for task_id in outcome.demonstration_ids
            ),
            continues=config.api == "completions",
        ),
    )
    rejected = list(parsed.rejections)
    rules = rules_of(state, config)
    filtered = {c.id: _filter_rejection(c, rules) for c in parsed.candidates}
    passed = [c for c in parsed.candidates if filtered[c.id] is None]
    results = iter(state.index.check_in_turn([c.instruction for c in passed]))
    accepted: list[Accepted] = []
    for candidate in parsed.candidates:
        rejection = filtered[candidate.id]
        if rejection is None:
            rejection = _novelty_rejection(candidate, next(results), state, accepted)
        if rejection is not None:
            rejected.append(rejection)
            continue
        accepted.append(
            Accepted(
                candidate_id=candidate.id,
                task_id=f"task_{state.accepted + len(accepted) + 1:06d}",
                instruction=candidate.instruction,
                instance=candidate.instance,
            )
        )
    return Committed(number=number, accepted=tuple(accepted), rejected=tuple(rejected))


def rules_of(state: RunState, config: RunConfig) -> tuple[Rule, ...]:
    """Return the rules that a run checks before novelty, in order."""
    return recipe_of(config).all_rules(config.profile, state.scripts, state.index.tokens)


def _filter_rejection(candidate: Candidate, rules: Sequence[Rule]) -> Rejection | None:
    """Return a candidate's rejection by the rules that do not depend on the pool, or None."""
    reason = rejection_reason(candidate.instruction, rules)
    if reason is None:
        return None
    return Rejection(
        candidate_id=candidate.id,
        stage="novelty" if reason is Reason.NO_TOKENS else "filter",
        reason=reason,
        text=rejected_text(candidate.instruction),
    )


def _novelty_rejection(
    candidate: Candidate, result: NoveltyResult, state: RunState, accepted: list[Accepted]
) -> Rejection | None:
    if result.novel:
        return None
    assert result.position is not None
    assert result.rouge_l is not None
    # A position after the end of the pool refers to a task accepted earlier in the same reply.
    extra = result.position - len(state.pool)
    nearest = state.pool[result.position].id if extra < 0 else accepted[extra].task_id
    return Rejection(
        candidate_id=candidate.id,
        stage="novelty",
        reason=Reason.NOT_NOVEL,
        text=rejected_text(candidate.instruction),
        nearest=Neighbour(task_id=nearest, rouge_l=result.rouge_l),
    )
