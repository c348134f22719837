"""What follows from a reply. Pure: outcome and state in, decision out; nothing is changed.

    reply → parse → filters → novelty → accepted task | rejection        one `Committed` for a whole reply
    reply → yes, no or unclear (asked once more in the default profile)  `Classified`
    reply → instances and their rejections                               `InstancesWritten`

Every candidate ends in exactly one of accepted and rejected, so the counts add up.
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
from selfinstruct.pipeline.novelty import Verdict
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Answer, Candidate, Neighbour, Reason, Rejection, rejected_text
from selfinstruct.records.ids import classification_id, generation_id, task_of


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
        task_id = task_of(outcome.request_id)
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
                state.instruction(task_id) for task_id in outcome.demonstration_ids
            ),
            continues=config.api == "completions",
        ),
    )
    rejected = list(parsed.rejections)
    objections = {c.id: _objection(c, state, config) for c in parsed.candidates}
    passed = [c for c in parsed.candidates if objections[c.id] is None]
    verdicts = state.index.check_in_turn([c.instruction for c in passed])
    verdict_of = {c.id: verdict for c, verdict in zip(passed, verdicts, strict=True)}
    accepted: list[Accepted] = []
    for candidate in parsed.candidates:
        objection = objections[candidate.id]
        if objection is None:
            objection = _not_novel(candidate, verdict_of[candidate.id], state, accepted)
        if objection is not None:
            rejected.append(objection)
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


def _objection(candidate: Candidate, state: RunState, config: RunConfig) -> Rejection | None:
    """What speaks against a candidate, whatever the pool holds."""
    profile = PROFILES[config.profile]
    text = candidate.instruction
    reason = profile.objection(text, recipe=config.recipe, scripts=state.scripts)
    if reason is not None:
        return Rejection(
            candidate_id=candidate.id, stage="filter", reason=reason, text=rejected_text(text)
        )
    if profile.needs_tokens and not state.index.tokens(text):
        # It would be like nothing in the pool, an exact copy of it included.
        return Rejection(
            candidate_id=candidate.id,
            stage="novelty",
            reason=Reason.NO_TOKENS,
            text=rejected_text(text),
        )
    return None


def _not_novel(
    candidate: Candidate, verdict: Verdict, state: RunState, accepted: list[Accepted]
) -> Rejection | None:
    if verdict.novel:
        return None
    assert verdict.position is not None
    assert verdict.rouge_l is not None
    # Positions behind the pool are those of tasks that this very reply has brought.
    behind = verdict.position - len(state.pool)
    witness = state.pool[verdict.position].id if behind < 0 else accepted[behind].task_id
    return Rejection(
        candidate_id=candidate.id,
        stage="novelty",
        reason=Reason.NOT_NOVEL,
        text=rejected_text(candidate.instruction),
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
    if state.source is not None:
        # Nobody will be asked: there is a second answer only where one was given then.
        ask_again = ask_again and classification_id(task_id, again=True) in state.waiting
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
            # As it was asked. In a run that was refiltered the kind may be read otherwise than it was then.
            output_first=outcome.template.rpartition("/")[2].startswith("instances_output_first"),
            instruction=task.instruction,
            limit=config.max_instances,
        ),
    )
    return InstancesWritten(task_id=task_id, instances=parsed.instances, rejected=parsed.rejections)
