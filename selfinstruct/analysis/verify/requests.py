"""Is an outcome that of a request as it is planned from here? In words what speaks against it."""

import re
from collections.abc import Iterator

from selfinstruct.analysis.verify import differences
from selfinstruct.events import CompletionReceived, Outcome
from selfinstruct.pipeline.plan import generation_request, is_plannable, task_request
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Request
from selfinstruct.records.ids import generation_id
from selfinstruct.runner.directory import Run


def planned(run: Run, state: RunState, name: str) -> Request | str:
    """The request of that id as it is planned from a state, or what speaks against it."""
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


def prompt_differences(outcome: Outcome, request: Request) -> Iterator[str]:
    """How what was asked differs from what is planned."""
    if outcome.stage != request.stage:
        yield f"is journaled under {outcome.stage}, not {request.stage}"
    if isinstance(outcome, CompletionReceived):
        prompt = request.prompt
        if outcome.demonstration_ids != prompt.demonstration_ids:
            journaled = differences.listed(outcome.demonstration_ids)
            yield (
                f"the journal says that its prompt shows {journaled}; "
                f"planned again it shows {differences.listed(prompt.demonstration_ids)}"
            )
        if outcome.template != prompt.template:
            yield f"its template is {prompt.template}; the journal says {outcome.template}"
    if outcome.prompt_sha256 != request.prompt.sha256:
        yield "its prompt, planned again, is another than the one that was sent"


def unknown_names(state: RunState, outcome: Outcome) -> Iterator[str]:
    """What another run's reply is about and is not known here. Its prompt was planned there."""
    names = outcome.demonstration_ids if isinstance(outcome, CompletionReceived) else ()
    if outcome.stage != "generate":
        names = tuple(outcome.request_id.split("/")[1:2])
    for name in names:
        try:
            state.instruction(name)
        except KeyError:
            yield f"is about {name}, which is not known here"
