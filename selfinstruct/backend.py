"""The one seam to the world: a backend completes a request.

Online, batch and simulated backends look the same to the pipeline; so does a function in a test:

    class Echo:
        async def complete(self, request: Request) -> Completion:
            return Completion(text=request.prompt.messages[-1].content, finish_reason="stop", model="echo")
"""

import re
from typing import Protocol, runtime_checkable

from selfinstruct.records import Completion, Request

_SURROGATE = re.compile("[\ud800-\udfff]")


class Backend(Protocol):
    """A way to complete requests."""

    async def complete(self, request: Request) -> Completion:
        """Complete one request, with whatever retries that takes.

        Raises RequestRejectedError where this request is refused; TransientError where attempts are used up,
        so that others may have their turn before it is asked again (`patience`); EndpointError where nothing
        can be had: that ends the run, which can be continued.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A backend that can tell whether it is up, apart from any request of the run."""

    async def answers(self) -> bool:
        """Whether the endpoint answers at all, seen by the smallest exchange there is.

        Raises EndpointError where nothing can be had. Without it a request that fails where there is nothing
        else to ask looks like an outage (`patience`).
        """
        ...


class Meter(Protocol):
    """Watches over what attempts may consume. A backend that makes several attempts asks it before each."""

    def reserve(self, request: Request, *, is_billed: bool) -> None:
        """Another attempt at a request is about to be sent; the first one was reserved by whoever asks.

        `is_billed` says whether the attempt before it may be billed. Returns once the reservation is on
        record. Raises LimitReachedError where a limit allows no further attempt at present: then none may be
        sent, and the error is to be passed on.
        """
        ...


def scrub(text: str) -> str:
    """The text as UTF-8 can hold it: a lone surrogate, which JSON can smuggle in, becomes U+FFFD."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
