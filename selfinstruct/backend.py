"""The interface between a run and a model: a backend completes requests.

The online backend, the simulated endpoint and a function in a test look the same to the pipeline:

    class Echo:
        async def complete(self, request: Request) -> Completion:
            return Completion(text=request.prompt.messages[-1].content, finish_reason="stop", model="echo")

`as_backend` makes a backend of a function.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, cast, runtime_checkable

from selfinstruct.cost import Consumption
from selfinstruct.records import Completion, Request
from selfinstruct.text import scrub


class Backend(Protocol):
    """Completes requests."""

    async def complete(self, request: Request) -> Completion:
        """Complete one request; retry as often as necessary.

        Raises RequestRejectedError where the endpoint rejects this request. Raises TransientError where all
        attempts failed; `runner.failures` decides when the request is sent again. Raises EndpointError where
        the endpoint rejects everything; that error ends the run, which can be continued later.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A backend that can check, without a request of the run, whether its endpoint is up."""

    async def answers(self) -> bool:
        """Return whether the endpoint replies to the smallest possible request.

        Raises EndpointError where the endpoint rejects everything. Without this check, a request that fails
        while no other request can be sent looks like an outage (`runner.failures`).
        """
        ...


class Reservations(Protocol):
    """Reserves the worst case of each attempt. A backend with retries calls it before each retry."""

    def reserve(self, request_id: str, most: Consumption, *, is_billed: bool) -> None:
        """Reserve another attempt at a request; the caller of `complete` has reserved the first attempt.

        `most` is the worst case of the attempt. `is_billed` says whether the previous attempt may be billed.
        The reservation is on record when the method returns. Raises LimitReachedError where a limit allows no
        further attempt at present; the backend must not send the attempt, and must not catch the error.
        """
        ...


Answer = Callable[[Request], "str | Completion | Awaitable[str | Completion]"]
"""A plain function or a coroutine function that answers a request."""


class FunctionBackend:
    """Completes requests with a function.

    A coroutine function is awaited. A plain function runs in threads, in as many at a time as the setting
    max_concurrency allows. A text becomes a complete reply without token counts.
    """

    def __init__(self, answer: Answer, *, model: str) -> None:
        self._answer = answer
        self._model = model

    async def complete(self, request: Request) -> Completion:
        """Call the function; see `Backend.complete`."""
        if inspect.iscoroutinefunction(self._answer):
            answer = await self._answer(request)
        else:
            answer = await asyncio.to_thread(self._answer, request)
            if inspect.isawaitable(answer):
                answer = await answer
        if isinstance(answer, str):
            return Completion(text=scrub(answer), finish_reason="stop", model=self._model)
        return cast("Completion", answer)  # the caller checks the type


def as_backend(backend: Backend | Answer, *, model: str) -> Backend:
    """Return a backend for an object with `complete`, or for a function; `model` names the function."""
    if callable(getattr(backend, "complete", None)):
        return cast("Backend", backend)
    return FunctionBackend(cast("Answer", backend), model=model)
