"""Why nothing follows from an outcome, or not yet, in a sentence for a person."""

from selfinstruct.events import Outcome, RequestFailed
from selfinstruct.records.ids import generation_id, task_of
from selfinstruct.runner.directory import Run


def problem(run: Run, outcome: Outcome, *, is_decided: bool) -> str:
    """What stands in the way of a request of a run that is at its end; "" where nothing does."""
    if isinstance(outcome, RequestFailed):
        if outcome.status is None:
            what = "It was given up, since it failed while others were answered ("
        else:
            what = f"The endpoint refused it for good (status {outcome.status}: "
        return f"{what}{outcome.problem}); nothing comes of it."
    if is_decided:
        return ""
    if run.state.source is not None:
        return _unused(run, outcome)
    if outcome.stage != "generate":
        return "It is not decided yet; the run is to be continued for that."
    if run.state.accepted >= run.config.num_instructions:
        return "It is not decided: the target was reached before it. It waits for a larger one."
    following = generation_id(run.state.commits + 1)
    return f"It is not decided yet: replies are decided in number order, and {following} is next."


def _unused(run: Run, outcome: Outcome) -> str:
    """Why nothing follows from a reply in a run that was refiltered, where nobody will be asked."""
    if outcome.stage == "generate":
        return "It is not decided: it was waiting in the run that this one was refiltered from."
    if task_of(outcome.request_id) in run.state.source_tasks:
        return "It is not used: the task that it is about is none of this run."
    return "It is not used: the first answer decides, as it is read now."
