"""The one seam to the world: a backend completes a request.

Online, batch and simulated backends look the same to the pipeline; so does a function in a test:

    class Echo:
        async def complete(self, request: Request) -> Completion:
            return Completion(text=request.prompt.messages[-1].content, finish_reason="stop", model="echo")
"""

from dataclasses import replace
from typing import Protocol, runtime_checkable

from selfinstruct.cost.worst_case import worst_case
from selfinstruct.records import Completion, Request


class Backend(Protocol):
    """A way to complete requests."""

    async def complete(self, request: Request) -> Completion:
        """Complete one request, with whatever retries that takes.

        Raises RequestRejectedError where this request is refused; TransientError where attempts are used up,
        so that others may have their turn before it is asked again (`runner.outages`); EndpointError where
        nothing can be had: that ends the run, which can be continued.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A backend that can tell whether it is up, apart from any request of the run."""

    async def answers(self) -> bool:
        """Whether the endpoint answers at all, seen by the smallest exchange there is.

        Raises EndpointError where nothing can be had. Without it a request that fails where there is nothing
        else to ask looks like an outage (`runner.outages`).
        """
        ...


class Reservations(Protocol):
    """Watches over what attempts may consume. A backend that makes several attempts asks it before each."""

    def reserve(self, request: Request, *, is_billed: bool) -> None:
        """Another attempt at a request is about to be sent; the first one was reserved by whoever asks.

        `is_billed` says whether the attempt before it may be billed. Returns once the reservation is on
        record. Raises LimitReachedError where a limit allows no further attempt at present: then none may be
        sent, and the error is to be passed on.
        """
        ...


def finished(request: Request, completion: Completion) -> Completion:
    """Return a completion as its request wanted the reply; a second call changes nothing.

    The text ends before the first of the request's stop texts, which some servers leave in. Impossible token
    counts are dropped. `reached_limit` says whether the reply took every token that the request allowed.
    """
    if completion.reached_limit is not None:
        return completion
    usage = completion.counted
    most = worst_case(request).completion_tokens
    is_cut = usage is not None and 0 < most <= usage.completion_tokens
    text, finish_reason = completion.text, completion.finish_reason
    for end in request.sampling.stop:
        if end in text:
            # The limit can only have cut what follows the stop text.
            text, finish_reason, is_cut = text.partition(end)[0], "stop", False
    return replace(
        completion, text=text, finish_reason=finish_reason, usage=usage, reached_limit=is_cut
    )
