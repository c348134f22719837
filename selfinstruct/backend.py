"""The interface between a run and a model: a backend completes requests.

A run calls an HTTP endpoint and a Python function through the same interface. The smallest backend:

    class Echo:
        async def complete(self, request: Request) -> Completion:
            return Completion(text=request.prompt.messages[-1].content, finish_reason="stop", model="echo")

`as_backend` wraps a function in a backend.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol, cast, runtime_checkable

from selfinstruct.cost import Consumption
from selfinstruct.display import scrub
from selfinstruct.records import Completion, Request


class Backend(Protocol):
    """Completes requests."""

    async def complete(self, request: Request) -> Completion:
        """Return the completion of one request; retry as often as necessary.

        Raises RequestRejectedError if the endpoint rejects this request. Raises TransientError if all
        attempts failed; `runner.failures` decides when the request is sent again. Raises EndpointError if the
        endpoint rejects every request; that error ends the run, which can be continued later.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A backend that can check whether its endpoint is up, without sending one of the run's requests."""

    async def answers(self) -> bool:
        """Return whether the endpoint replies to the smallest possible request.

        Raises EndpointError if the endpoint rejects every request. If a backend lacks this method and a
        request fails while no other request can be sent, `runner.failures` assumes an outage.
        """
        ...


class Reservations(Protocol):
    """Reserves budget for the highest possible cost of an attempt.

    A backend that retries requests must call `reserve` before each retry.
    """

    def reserve(self, request_id: str, most: Consumption, *, is_billed: bool) -> None:
        """Reserve budget for another attempt at a request.

        The caller of `complete` has already reserved the first attempt. `most` is the worst case of this
        attempt. `is_billed` says whether the previous attempt may be billed. The reservation is recorded
        before the method returns. Raises LimitReachedError if a limit allows no further attempt at present.
        The backend must then not send the attempt, and must not catch the error.
        """
        ...


Answer = Callable[[Request], "str | Completion | Awaitable[str | Completion]"]
"""A plain function or a coroutine function that answers a request."""


class FunctionBackend:
    """Completes requests with a function.

    A coroutine function is awaited. A plain function is called in threads, in up to `max_concurrency` at the
    same time. If the function returns a text, the text becomes a complete reply without token counts.
    """

    def __init__(self, answer: Answer, *, model: str) -> None:
        self._answer = answer
        self._model = model

    async def complete(self, request: Request) -> Completion:
        """Call the function and return its completion; see `Backend.complete`."""
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
    """Return `backend` itself if it has a `complete` method; otherwise wrap the function in a backend.

    The completions of a wrapped function have `model` as the name of their model.
    """
    if callable(getattr(backend, "complete", None)):
        return cast("Backend", backend)
    return FunctionBackend(cast("Answer", backend), model=model)
