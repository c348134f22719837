"""What follows from a reply. Pure: outcome and state in, decision out; nothing is changed.

    reply → parse → filters → novelty → accepted task | rejection        one `Committed` for a whole reply
    reply → yes, no or unclear (asked once more in the default profile)  `Classified`
    reply → instances and their rejections                               `InstancesWritten`

Every candidate ends in exactly one of accepted and rejected, so the counts add up.
"""

from collections.abc import Iterator

from selfinstruct.config import RunConfig
from selfinstruct.events import (
    Accepted,
    Classified,
    Committed,
    CompletionReceived,
    Decision,
    InstancesWritten,
    Outcome,
)
from selfinstruct.novelty import NoveltyIndex
from selfinstruct.parse.found import AskedInstances, AskedList
from selfinstruct.profiles import PROFILES
from selfinstruct.records import Answer, Candidate, Neighbour, Reason, Rejection
from selfinstruct.state import RunState, generation_id


def next_decisions(state: RunState, config: RunConfig) -> Iterator[Decision]:
    """Decisions that can be made now and do not depend on each other; none when all are made.

    At most one commit, of the lowest number, and only while the target is not reached.
    """
    if state.accepted < config.num_instructions:
        outcome = state.waiting.get(generation_id(state.commits + 1))
        if outcome is not None:
            yield commit(state, config, outcome)
    for outcome in state.waiting.values():
        if outcome.stage == "generate":
            continue
        task_id = outcome.request_id.split("/")[1]
        if outcome.stage == "classify":
            yield classified(state, config, task_id, outcome)
        else:
            yield instances_written(state, config, task_id, outcome)


def commit(state: RunState, config: RunConfig, outcome: Outcome) -> Committed:
    """Decide all candidates of the next generation request, later ones seeing earlier ones."""
    number = state.commits + 1
    if not isinstance(outcome, CompletionReceived):
        return Committed(number=number, accepted=(), rejected=())
    parsed = PROFILES[config.profile].read_list[config.recipe](
        outcome.request_id,
        outcome.completion,
        AskedList(
            first_number=config.demonstrations + 1,
            demonstrations=tuple(
                state.pool.by_id(task_id).instruction for task_id in outcome.demonstration_ids
            ),
            continues=config.api == "completions",
        ),
    )
    rejected = list(parsed.rejections)
    accepted: list[Accepted] = []
    # What this reply adds to the pool is not in the pool before the commit is; it has an index of its own.
    added = NoveltyIndex(config.threshold, config.tokenizer)
    for candidate in parsed.candidates:
        rejection = _rejection(candidate, state, config, accepted, added)
        if rejection is not None:
            rejected.append(rejection)
            continue
        added.add(candidate.instruction)
        accepted.append(
            Accepted(
                candidate_id=candidate.id,
                task_id=f"task_{state.accepted + len(accepted) + 1:06d}",
                instruction=candidate.instruction,
                instance=candidate.instance,
            )
        )
    return Committed(number=number, accepted=tuple(accepted), rejected=tuple(rejected))


def _rejection(
    candidate: Candidate,
    state: RunState,
    config: RunConfig,
    accepted: list[Accepted],
    added: NoveltyIndex,
) -> Rejection | None:
    profile = PROFILES[config.profile]
    text = candidate.instruction
    reason = profile.objection(text, recipe=config.recipe, scripts=state.scripts)
    if reason is not None:
        return Rejection(candidate_id=candidate.id, stage="filter", reason=reason, text=text)
    if profile.needs_tokens and not state.index.tokens(text):
        # It would be like nothing in the pool, an exact copy of it included.
        return Rejection(
            candidate_id=candidate.id, stage="novelty", reason=Reason.NO_TOKENS, text=text
        )
    verdict = state.index.check(candidate.instruction)
    if verdict.position is not None:
        witness = state.pool[verdict.position].id
    else:
        verdict = added.check(candidate.instruction)
        if verdict.position is None:
            return None
        witness = accepted[verdict.position].task_id
    assert verdict.rouge_l is not None
    return Rejection(
        candidate_id=candidate.id,
        stage="novelty",
        reason=Reason.NOT_NOVEL,
        text=candidate.instruction,
        nearest=Neighbour(task_id=witness, rouge_l=verdict.rouge_l),
    )


def classified(state: RunState, config: RunConfig, task_id: str, outcome: Outcome) -> Classified:
    """Decide whether a task is a classification task, or that the question is put once more.

    A failed request is unclear.
    """
    profile = PROFILES[config.profile]
    answer: Answer = "unclear"
    if isinstance(outcome, CompletionReceived):
        instruction = state.pool.by_id(task_id).instruction
        answer = profile.read_answer(outcome.completion, instruction=instruction)
    ask_again = profile.asks_twice and answer == "unclear" and task_id not in state.unclear_once
    return Classified(
        task_id=task_id,
        is_classification=None if ask_again else answer == "yes",
        answer=answer,
    )


def instances_written(
    state: RunState, config: RunConfig, task_id: str, outcome: Outcome
) -> InstancesWritten:
    """Decide which instances of a task are kept; of a failed request, none."""
    if not isinstance(outcome, CompletionReceived):
        return InstancesWritten(task_id=task_id, instances=(), rejected=())
    task = state.pool.by_id(task_id)
    parsed = PROFILES[config.profile].read_instances(
        outcome.request_id,
        outcome.completion,
        AskedInstances(
            output_first=bool(task.is_classification),
            instruction=task.instruction,
            limit=config.max_instances,
        ),
    )
    return InstancesWritten(task_id=task_id, instances=parsed.instances, rejected=parsed.rejections)
