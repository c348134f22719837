"""Decide what to accept from replies. A decision depends only on the reply, the state and the settings.

    reply → parse → filters → novelty → accepted task | rejection          `Committed`, one for each reply
    reply → yes, no or unclear (the default profile asks a second time)    `Classified`
    reply → instances and rejections                                       `InstancesWritten`

Every candidate is either accepted or rejected, so accepted and rejected candidates add up to all candidates.
"""

from collections.abc import Iterator

from selfinstruct.config.schema import RunConfig
from selfinstruct.events import (
    Accepted,
    Classified,
    Committed,
    CompletionReceived,
    Decision,
    InstancesWritten,
    Outcome,
)
from selfinstruct.pipeline.novelty import NoveltyResult
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.pipeline.recipes import is_output_first
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Answer, Candidate, Neighbour, Reason, Rejection, rejected_text
from selfinstruct.records.ids import classification_id, generation_id, task_of


def next_decisions(state: RunState, config: RunConfig) -> Iterator[Decision]:
    """Yield the decisions that can be made now and do not depend on each other.

    At most one of them is a commit, because requests are committed in the order of their numbers. There is no
    commit once the target is reached.
    """
    if state.accepted < config.num_instructions:
        outcome = state.waiting.get(generation_id(state.commits + 1))
        if outcome is not None:
            yield commit(state, config, outcome)
    for outcome in state.waiting.values():
        if outcome.stage == "generate":
            continue
        task_id = task_of(outcome.request_id)
        if outcome.stage == "classify":
            yield classified(state, config, task_id, outcome)
        else:
            yield instances_written(state, config, task_id, outcome)


def commit(state: RunState, config: RunConfig, outcome: Outcome) -> Committed:
    """Decide on all candidates in the reply to the next generation request.

    Each candidate is compared with the pool and with the candidates accepted earlier in the same reply.
    """
    number = state.commits + 1
    if not isinstance(outcome, CompletionReceived):
        return Committed(number=number, accepted=(), rejected=())
    parsed = PROFILES[config.profile].read_list[config.recipe](
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
    """Return a candidate's rejection by the rules that do not depend on the pool, or None."""
    profile = PROFILES[config.profile]
    text = candidate.instruction
    reason = profile.rejection_reason(text, recipe=config.recipe, scripts=state.scripts)
    if reason is None and profile.needs_tokens and not state.index.tokens(text):
        # If a text has no tokens, even an exact copy of it would count as novel.
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


def classified(state: RunState, config: RunConfig, task_id: str, outcome: Outcome) -> Classified:
    """Decide whether a task is a classification task, or whether to ask the model again.

    A failed request counts as the answer "unclear".
    """
    profile = PROFILES[config.profile]
    answer: Answer = "unclear"
    if isinstance(outcome, CompletionReceived):
        instruction = state.pool.by_id(task_id).instruction
        answer = profile.read_answer(outcome.completion, instruction)
    ask_again = profile.asks_twice and answer == "unclear" and task_id not in state.unclear_once
    if state.source is not None:
        # A refiltered run sends no requests, so it can only use a second answer that exists already.
        ask_again = ask_again and classification_id(task_id, again=True) in state.waiting
    return Classified(
        task_id=task_id,
        is_classification=None if ask_again else answer == "yes",
        answer=answer,
    )


def instances_written(
    state: RunState, config: RunConfig, task_id: str, outcome: Outcome
) -> InstancesWritten:
    """Decide which of a task's instances to accept. After a failed request, the task has no instances."""
    if not isinstance(outcome, CompletionReceived):
        return InstancesWritten(task_id=task_id, instances=(), rejected=())
    task = state.pool.by_id(task_id)
    parsed = PROFILES[config.profile].read_instances(
        outcome.request_id,
        outcome.completion,
        AskedInstances(
            # Use the template of the request, because a refiltered run may classify the task differently.
            output_first=is_output_first(outcome.template),
            instruction=task.instruction,
            limit=config.max_instances,
        ),
    )
    return InstancesWritten(task_id=task_id, instances=parsed.instances, rejected=parsed.rejections)
