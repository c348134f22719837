"""Check that an outcome belongs to the request that the run would plan at this point."""

import re
from collections.abc import Iterator

from selfinstruct.journal_events import CompletionReceived, Outcome
from selfinstruct.pipeline.plan import generation_request, is_plannable, task_request
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Request
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.directory import Run


def planned(run: Run, state: RunState, name: str) -> Request | str:
    """Plan the request with the id `name` from a state. Return the request, or why it cannot be planned."""
    stage, _, rest = name.partition("/")
    if stage == "generate":
        number = int(rest) if re.fullmatch(r"\d{1,9}", rest, re.ASCII) else 0
        if number < 1 or generation_id(number) != name:
            return "is not the id of a request"
        if number <= state.commits:
            return f"was decided without an outcome: commit {number} comes before this line"
        if not is_plannable(state, run.config, number):
            return "was sent before the tasks that its prompt depends on were decided"
        return generation_request(state, run.config, run.templates, number)
    task_id = rest.partition("/")[0]
    try:
        task = state.pool.by_id(task_id)
    except KeyError:
        return "asks about a task that was not in the pool"
    if task.is_final:
        return "asks about a finished task"
    request = task_request(state, run.config, run.templates, task)
    if request.id != name:
        return f"is not the next request about {task_id}, which is {request.id}"
    return request


def prompt_differences(outcome: Outcome, request: Request) -> Iterator[str]:
    """Yield the differences between the request that was sent and the planned request."""
    prompt = request.prompt
    if outcome.stage != request.stage:
        yield f"is journaled under {outcome.stage}, not {request.stage}"
    if isinstance(outcome, CompletionReceived):
        if outcome.demonstration_ids != prompt.demonstration_ids:
            sent = ", ".join(outcome.demonstration_ids) or "nothing"
            yield (
                f"the journal says that its prompt shows {sent}; "
                f"planned again, it shows {', '.join(prompt.demonstration_ids) or 'nothing'}"
            )
        if outcome.template != prompt.template:
            yield f"its template should be {prompt.template}; the journal says {outcome.template}"
    if outcome.prompt_sha256 != prompt.sha256:
        yield "its prompt, planned again, is not the prompt that was sent"


def unknown_names(state: RunState, outcome: Outcome) -> Iterator[str]:
    """Yield a sentence for each unknown task that a source run's outcome refers to."""
    names = outcome.demonstration_ids if isinstance(outcome, CompletionReceived) else ()
    if outcome.stage != "generate":
        names = tuple(outcome.request_id.split("/")[1:2])
    for name in names:
        try:
            state.instruction(name)
        except KeyError:
            yield f"refers to {name}, which is not in this run"
