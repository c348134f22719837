"""Explain why a request has no result yet, or never will have one."""

from selfinstruct.journal_events import Outcome, RequestFailed
from selfinstruct.records.ids import generation_id, task_of
from selfinstruct.runner.directory import Run


def problem(run: Run, outcome: Outcome, *, is_decided: bool) -> str:
    """Return a sentence that says why a request's outcome has no result; "" if it has one."""
    if isinstance(outcome, RequestFailed):
        what = "The run gave up on this request, because it kept failing while others succeeded ("
        if outcome.status is not None:
            what = f"The endpoint refused the request (status {outcome.status}: "
        return f"{what}{outcome.problem}); it has no result."
    if is_decided:
        return ""
    if run.state.source is not None:
        if outcome.stage == "generate":
            return "The reply has no decision, because the source run had not decided on it."
        if task_of(outcome.request_id) in run.state.source_tasks:
            return "The reply is not used: this run does not have its task."
        return "The reply is not used: an earlier answer about the same task was clear."
    if outcome.stage != "generate":
        return "The reply has no decision yet. Continue the run to decide on it."
    if run.state.accepted >= run.config.num_instructions:
        return "The reply has no decision, because the run reached its target. Raise -n to use it."
    following = generation_id(run.state.commits + 1)
    return f"The reply has no decision yet: replies are decided in order, and {following} is next."
