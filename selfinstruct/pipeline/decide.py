"""Make decisions from replies. Pure: an outcome and the state determine the decision.

    reply → parse → filters → novelty → accepted task | rejection          one `Committed` for each reply

Every candidate is either accepted or rejected, so the counts add up. The stages of the recipe decide replies
about a task.
"""

from collections.abc import Iterator

from selfinstruct.config.schema import RunConfig
from selfinstruct.events import Accepted, Committed, CompletionReceived, Decision, Outcome
from selfinstruct.pipeline.novelty import NoveltyResult
from selfinstruct.pipeline.parse.types import AskedList
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.pipeline.recipes import recipe_of
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Candidate, Neighbour, Reason, Rejection, rejected_text
from selfinstruct.records.ids import generation_id, task_of


def next_decisions(state: RunState, config: RunConfig) -> Iterator[Decision]:
    """Yield the decisions that can be made now and do not depend on each other.

    At most one decision is a commit: the next one in number order, unless the target is reached.
    """
    if state.accepted < config.num_instructions:
        outcome = state.waiting.get(generation_id(state.commits + 1))
        if outcome is not None:
            yield commit(state, config, outcome)
    stages = {stage.name: stage for stage in recipe_of(config).task_stages}
    for outcome in state.waiting.values():
        if outcome.stage in stages:
            task_id = task_of(outcome.request_id)
            yield stages[outcome.stage].decide(state, config, task_id, outcome)


def commit(state: RunState, config: RunConfig, outcome: Outcome) -> Committed:
    """Decide all candidates of the next generation request.

    Each candidate is also compared with the accepted candidates before it.
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
    filtered = {c.id: _filter_rejection(c, state, config) for c in parsed.candidates}
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


def _filter_rejection(candidate: Candidate, state: RunState, config: RunConfig) -> Rejection | None:
    """Return the rejection of a candidate that does not depend on the pool, or None."""
    profile, rules = PROFILES[config.profile], recipe_of(config).rules[config.profile]
    text = candidate.instruction
    reason = profile.rejection_reason(text, rules=rules, scripts=state.scripts)
    if reason is None and profile.needs_tokens and not state.index.tokens(text):
        # Without tokens, even an exact copy would count as novel.
        reason = Reason.NO_TOKENS
    if reason is None:
        return None
    return Rejection(
        candidate_id=candidate.id,
        stage="novelty" if reason is Reason.NO_TOKENS else "filter",
        reason=reason,
        text=rejected_text(text),
    )


def _novelty_rejection(
    candidate: Candidate, result: NoveltyResult, state: RunState, accepted: list[Accepted]
) -> Rejection | None:
    if result.novel:
        return None
    assert result.position is not None
    assert result.rouge_l is not None
    # Positions after the end of the pool refer to tasks accepted from the same reply.
    extra = result.position - len(state.pool)
    nearest = state.pool[result.position].id if extra < 0 else accepted[extra].task_id
    return Rejection(
        candidate_id=candidate.id,
        stage="novelty",
        reason=Reason.NOT_NOVEL,
        text=rejected_text(candidate.instruction),
        nearest=Neighbour(task_id=nearest, rouge_l=result.rouge_l),
    )
