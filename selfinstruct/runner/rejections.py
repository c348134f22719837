"""Decides whether a rejected request or the setup is at fault (for status 400 and similar replies).

A rejection is final once it is in the journal, so it is not journaled before its cause is clear. The setup is
wrong, and the run ends, in any of these cases:

- Five requests in a row in one stage were rejected with the same message, or ten with any messages.
- Nothing else can be sent. In one stage, at least three requests were rejected, and at least one for every
  fifty answered requests.
- Nothing else can be sent, and no request in the stage has ever been answered.

The request itself is at fault if a request in the same stage that was sent after the rejection is answered.
It is also at fault if nothing else can be sent and none of the cases above applies.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from selfinstruct.display import scrub
from selfinstruct.errors import EndpointError, RequestRejectedError, TransientError
from selfinstruct.journal_events import RequestFailed
from selfinstruct.records import Request, Stage

WITH_ONE_MESSAGE = 5
"""Number of successive rejections with the same message that mean that the setup is wrong."""
WITH_ANY_MESSAGE = 10
"""Number of successive rejections with any messages that mean that the setup is wrong."""
AT_REST = 3
"""Minimum number of rejections that mean that the setup is wrong if no other request can be sent."""
OF_ANSWERED = 50
"""If at least one request was rejected for this number of answers, the setup is considered wrong."""


def final_failure(request: Request, error: RequestRejectedError | TransientError) -> RequestFailed:
    """Return the event for a request that will not be sent again. `error` is its last error."""
    return RequestFailed(
        request_id=request.id,
        stage=request.stage,
        prompt_sha256=request.prompt.sha256,
        problem=scrub(error.problem),
        status=error.status if isinstance(error, RequestRejectedError) else None,
        attempts=error.attempts,
    )


@dataclass(frozen=True, slots=True)
class _Rejection:
    """A rejected request. Why the endpoint rejected the request is not clear yet."""

    request: Request
    error: RequestRejectedError
    sent: int
    """Number of requests sent, in all stages, before the rejection arrived."""


class Rejections:
    """Rejections whose cause is not clear yet, by stage."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Stage, list[_Rejection]] = defaultdict(list)

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def add(
        self, request: Request, error: RequestRejectedError, *, sent: int
    ) -> EndpointError | None:
        """Record a rejection. If the setup is clearly wrong, return the error that should end the run."""
        waiting = self._waiting[request.stage]
        waiting.append(_Rejection(request, error, sent))
        last = [rejection.error.problem for rejection in waiting[-WITH_ONE_MESSAGE:]]
        has_one_message = len(last) == WITH_ONE_MESSAGE and len(set(last)) == 1
        is_wrong = has_one_message or len(waiting) >= WITH_ANY_MESSAGE
        return _wrong_setup(waiting) if is_wrong else None

    def answered(self, stage: Stage, number: int) -> list[RequestFailed]:
        """Return and remove the rejections that arrived before the answered request `number` was sent."""
        waiting = self._waiting[stage]
        known = [rejection for rejection in waiting if rejection.sent < number]
        del waiting[: len(known)]
        return [final_failure(rejection.request, rejection.error) for rejection in known]

    def forget(self, stage: Stage) -> None:
        """Drop a stage's rejections, because the run no longer needs the stage."""
        self._waiting[stage].clear()

    def settle(self, answers: Callable[[Stage], int]) -> list[RequestFailed]:
        """Return and remove all rejections. Call this if nothing else can be sent.

        `answers` returns the number of a stage's requests that were answered. Raises EndpointError if the
        rejections mean that the setup is wrong.
        """
        for stage, waiting in self._waiting.items():
            is_much = len(waiting) >= max(AT_REST, answers(stage) // OF_ANSWERED)
            if waiting and (not answers(stage) or is_much):
                raise _wrong_setup(waiting)
        settled = [rejection for waiting in self._waiting.values() for rejection in waiting]
        self._waiting.clear()
        return [final_failure(rejection.request, rejection.error) for rejection in settled]


def _wrong_setup(waiting: list[_Rejection]) -> EndpointError:
    """Return the error for a stage in which all of the given requests were rejected."""
    number, last = len(waiting), waiting[-1]
    requests = "the only request was" if number == 1 else f"{number} requests in a row were"
    return EndpointError(
        f"stage {last.request.stage}: {requests} rejected and none was answered, so the setup must be "
        f"wrong: {last.error.problem}",
        attempts=last.error.attempts,
    )
