"""What follows from a reply. Pure: outcome and state in, decision out; nothing is changed.

    reply → parse → filters → novelty → accepted task | rejection        one `Committed` for a whole reply
    reply → yes, no or unclear                                           `Classified`
    reply → instances and their rejections                               `InstancesWritten`

Every candidate ends in exactly one of accepted and rejected, so the counts add up.
"""

from collections.abc import Iterator

from selfinstruct import filters, parse
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
from selfinstruct.novelty import NoveltyIndex, tokenize
from selfinstruct.records import Candidate, Neighbour, Reason, Rejection
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
        task_id = outcome.request_id.partition("/")[2]
        if outcome.stage == "classify":
            yield classified(task_id, outcome)
        elif outcome.stage == "instances":
            yield instances_written(state, config, task_id, outcome)


def commit(state: RunState, config: RunConfig, outcome: Outcome) -> Committed:
    """Decide all candidates of the next generation request, later ones seeing earlier ones."""
    number = state.commits + 1
    if not isinstance(outcome, CompletionReceived):
        return Committed(number=number, accepted=(), rejected=())
    parsed = parse.instructions(outcome.request_id, outcome.completion)
    rejected = list(parsed.rejections)
    accepted: list[Accepted] = []
    # What this reply adds to the pool is not in the pool before the commit is; it has an index of its own.
    added = NoveltyIndex(config.threshold)
    for candidate in parsed.candidates:
        rejection = _rejection(candidate, state, accepted, added)
        if rejection is not None:
            rejected.append(rejection)
            continue
        added.add(candidate.instruction)
        accepted.append(
            Accepted(
                candidate_id=candidate.id,
                task_id=f"task_{state.accepted + len(accepted) + 1:06d}",
                instruction=candidate.instruction,
            )
        )
    return Committed(number=number, accepted=tuple(accepted), rejected=tuple(rejected))


def _rejection(
    candidate: Candidate, state: RunState, accepted: list[Accepted], added: NoveltyIndex
) -> Rejection | None:
    reason = filters.objection(candidate.instruction)
    if reason is not None:
        return Rejection(
            candidate_id=candidate.id, stage="filter", reason=reason, text=candidate.instruction
        )
    if not tokenize(candidate.instruction):
        # It would be like nothing in the pool, an exact copy of it included.
        return Rejection(
            candidate_id=candidate.id,
            stage="novelty",
            reason=Reason.NO_TOKENS,
            text=candidate.instruction,
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


def classified(task_id: str, outcome: Outcome) -> Classified:
    """Decide whether a task is a classification task; a failed request is unclear."""
    answer: parse.Answer = "unclear"
    if isinstance(outcome, CompletionReceived):
        answer = parse.yes_or_no(outcome.completion)
    return Classified(task_id=task_id, is_classification=answer == "yes", answer=answer)


def instances_written(
    state: RunState, config: RunConfig, task_id: str, outcome: Outcome
) -> InstancesWritten:
    """Decide which instances of a task are kept; of a failed request, none."""
    if not isinstance(outcome, CompletionReceived):
        return InstancesWritten(task_id=task_id, instances=(), rejected=())
    parsed = parse.instances(
        outcome.request_id,
        outcome.completion,
        output_first=bool(state.pool.by_id(task_id).is_classification),
        limit=config.max_instances,
    )
    return InstancesWritten(task_id=task_id, instances=parsed.instances, rejected=parsed.rejections)
