"""The online backend: completions over HTTP, chat or text, against any OpenAI-compatible endpoint.

The official client sends; retrying is ours alone (`outcomes` and `retry`), so that every attempt is counted,
reserved (`backend.Meter`) and admitted by one gate (`rate_limits`). What comes back is read by `reply`.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from selfinstruct.backend import Reservations
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost.worst_case import normalize, worst_case
from selfinstruct.errors import BackendError, RequestRejectedError, TransientError
from selfinstruct.llm.endpoint import NO_KEY, authorizes, client, headers
from selfinstruct.llm.failures import told_by, untold
from selfinstruct.llm.outcomes import OVERLOADED, TABLE, Seen, error_of
from selfinstruct.llm.rate_limits import Gate, Passage
from selfinstruct.llm.redaction import redacted
from selfinstruct.llm.reply import read_completion, reading, unreadable
from selfinstruct.llm.request_body import (
    LIMITS,
    NEWER_LIMIT,
    OLDER_LIMIT,
    advice,
    door,
    parameters,
    wants_newer_limit,
)
from selfinstruct.llm.retry import OnWait, policy, rate_limited_s
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling

if TYPE_CHECKING:
    import httpx2
    import openai

_SHORTEST_KEY = 8
"""A shorter one is a dummy for a local server, and taking it out of a sentence would garble that."""
_OUT_AFTER_ROUNDS = 2
"""So many times `max_attempts` failures in a row, and no answer to anybody: the endpoint is out."""
_TIMED_OUT = frozenset({Seen.SILENT, Seen.TOO_SLOW, Seen.GATEWAY_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Probe:
    """What came back of one exchange, without secrets."""

    status: int
    content: bytes
    error: object = None
    """The error object of a refusal …"""
    refusal: BackendError | None = None
    """… and what it means."""


@dataclass(slots=True)
class _Tally:
    """The attempts of one request."""

    sent: int = 0
    may_bill: bool = False
    """Whether the last one that was reserved may be billed."""


class OnlineBackend:
    """Sends requests as they come, as far as rate limits allow. Use as an async context manager."""

    def __init__(
        self,
        config: RunConfig,
        *,
        environ: Mapping[str, str],
        stop: asyncio.Event | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_wait: OnWait | None = None,
        budget: Reservations | None = None,
    ) -> None:
        """Prepare a client.

        `stop` ends waiting for an attempt; `sleep` is how to wait before another; `on_wait` is told of every
        such wait; `meter` is asked before every attempt but the first, which whoever asks has reserved.
        Raises ConfigError where a key or another variable is needed and not set, or says what cannot be.
        """
        import openai

        self._stop = stop or asyncio.Event()
        self._sleep = sleep
        self._on_wait = on_wait
        self._budget = budget
        self.gate = Gate(
            slots=config.max_concurrency,
            requests_per_minute=config.max_requests_per_minute,
            tokens_per_minute=config.max_tokens_per_minute,
            stop=self._stop,
            sleep=sleep,
        )
        """Knows the limits, given or learned, and how many may be in flight."""
        self._longest_reply = 0
        """Tokens; stands in for the limit where nothing limits replies."""
        self._config = config
        self._max_attempts = config.max_attempts
        self._failed_in_a_row = 0
        """Attempts of whatever request, since the last answer to any."""
        self._checks = _Tally(may_bill=True)
        self._may_rename_limit = config.token_limit not in (OLDER_LIMIT, NEWER_LIMIT)
        self._limit = OLDER_LIMIT if self._may_rename_limit else config.token_limit
        """What the endpoint calls the token limit of a chat, as far as is known."""
        self._rate_limited_s = rate_limited_s(config.give_up_after_s)
        self._request_timeout_s = config.request_timeout_s
        self._total_timeout_s = config.connect_timeout_s + config.request_timeout_s
        self._client = client(config, environ=environ)
        added = headers(config, environ=environ)
        self._headers: dict[str, str | openai.Omit] = {h.name: h.value for h in added}
        self._secrets = [secret for header in added for secret in header.secrets]
        if self._client.api_key != NO_KEY:
            if len(self._client.api_key) >= _SHORTEST_KEY:
                self._secrets.append(self._client.api_key)
        elif authorizes(added):
            self._headers = {"Authorization": openai.Omit(), **self._headers}
        self._secrets.sort(key=len, reverse=True)  # one may be a part of another

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gate.close()
        await self._client.close()

    async def complete(self, request: Request) -> Completion:
        """Complete one request; see `Backend.complete`.

        Raises LimitReachedError too, where the meter allows no further attempt.
        """
        tally = _Tally()
        try:
            attempts_allowed = policy(
                max_attempts=self._max_attempts,
                sleep=self._pause,
                on_wait=self._on_wait,
                is_out=self._is_out,
                rate_limited_s=self._rate_limited_s,
            )
            async for attempt in attempts_allowed:
                with attempt:
                    if tally.sent:
                        self._reserve(request, tally)
                    return await self._attempt(request, tally)
        except BackendError as error:
            error.attempts = tally.sent
            error.may_bill = tally.may_bill
            raise
        raise AssertionError("the policy reraises")

    async def answers(self) -> bool:
        """Whether the endpoint answers at all, seen by a request of a few tokens; see `Checkable`.

        Raises LimitReachedError where the meter does not allow it.
        """
        check = _smallest(self._config)
        self._reserve(check, self._checks)  # all have the same id, as attempts at one request
        try:
            await self._attempt(check, self._checks)
        except RequestRejectedError:
            return True  # it has read it
        except TransientError:
            return False
        return True

    def _reserve(self, request: Request, tally: _Tally) -> None:
        if self._budget is not None:
            self._budget.reserve(request, is_billed=tally.may_bill)
        tally.may_bill = False  # it has yet to be sent

    def _is_out(self) -> bool:
        return self._failed_in_a_row >= _OUT_AFTER_ROUNDS * self._max_attempts

    async def _pause(self, seconds: float) -> None:
        """Wait before another attempt, unless the run is being stopped."""
        stopping = asyncio.ensure_future(self._stop.wait())
        waiting = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait((stopping, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            waiting.cancel()
        if self._stop.is_set():
            raise TransientError("the run was stopped while waiting for another attempt")

    async def _attempt(self, request: Request, tally: _Tally) -> Completion:
        try:
            completion = await self._send(request, tally)
            while completion is None:
                self._reserve(request, tally)
                completion = await self._send(request, tally)
        except BackendError as error:
            if not isinstance(error, TransientError):
                self._failed_in_a_row = 0  # it answers, if not as one would wish
            elif error.seen and TABLE[Seen(error.seen)].counts:
                self._failed_in_a_row += 1
            self._redact(error)
            raise
        self._failed_in_a_row = 0
        return completion

    def _redact(self, error: BackendError) -> None:
        for secret in self._secrets:
            error.redact(secret)

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent for a request."""
        return parameters(request, limit=self._limit)

    async def _send(self, request: Request, tally: _Tally) -> Completion | None:
        """Send a request once, in its turn; None where it is to be sent again as the endpoint wants it."""
        import openai

        async with self.gate.admitted(self._tokens_at_most(request)) as passage:
            tally.sent += 1
            tally.may_bill = True
            started = time.monotonic()
            body = self.body(request)
            status = None
            heard: Mapping[str, str] = {}
            try:
                try:
                    reply = await self._exchange(door(request), body, request.id)
                except openai.APIStatusError as error:
                    status, heard = error.status_code, error.response.headers
                    refusal = self._refusal(error, request, body)
                    if refusal is None:
                        tally.sent -= 1  # it was no failure
                        tally.may_bill = False
                        self.gate.settle(passage, 0)
                        return None
                    raise refusal from None
                heard = reply.headers
                completion = normalize(
                    request,
                    read_completion(
                        reply.content,
                        attempts=tally.sent,
                        latency_s=time.monotonic() - started,
                        secrets=self._secrets,
                    ),
                )
            except BackendError as error:
                tally.may_bill = error.may_bill
                self._failed(passage, error, status=status, headers=heard)
                raise
            self._answered(passage, completion, headers=heard)
            return completion

    def _tokens_at_most(self, request: Request) -> int:
        if self.gate.tokens_per_minute is None:
            return 0
        most = worst_case(request)
        return most.prompt_tokens + (most.completion_tokens or self._longest_reply)

    def _answered(
        self, passage: Passage, completion: Completion, *, headers: Mapping[str, str]
    ) -> None:
        self.gate.learn(headers)
        self.gate.answered(passage)
        usage = completion.usage
        if usage is not None:
            self.gate.settle(passage, max(0, usage.prompt_tokens + usage.completion_tokens))
            self._longest_reply = max(self._longest_reply, usage.completion_tokens)

    def _failed(
        self,
        passage: Passage,
        error: BackendError,
        *,
        status: int | None,
        headers: Mapping[str, str],
    ) -> None:
        # First of all, or somebody else would be let in by what follows.
        if isinstance(error, TransientError):
            if error.seen == Seen.RATE_LIMITED or status in OVERLOADED:
                self.gate.slow_down(passage, error.retry_after_s)
            elif error.seen in _TIMED_OUT:
                self.gate.timed_out(passage)
        self.gate.learn(headers)
        if not error.may_bill:
            self.gate.settle(passage, 0)

    def _refusal(
        self, error: "openai.APIStatusError", request: Request, body: Mapping[str, Any]
    ) -> BackendError | None:
        """What an error status means; None where all that it says is the newer name of the token limit."""
        with reading():
            is_renamed = self._may_rename_limit and wants_newer_limit(
                error.status_code, error.body, body
            )
            what_to_do = advice(error.status_code, error.body, request, body)
            told = told_by(error, what_to_do, secrets=self._secrets)
        if error.status_code == 401 and self._client.api_key == NO_KEY:
            told.add(f"no key was sent: ${self._config.api_key_env} is not set")
        if is_renamed:
            self._limit = NEWER_LIMIT
            if self.body(request) != body:  # else it comes from --extra-body
                return None
        return told

    async def probe(self, path: str, body: Mapping[str, Any] | None = None) -> Probe:
        """One exchange, whatever its status and without another attempt; a GET where there is no body.

        Raises BackendError where there is no reply.
        """
        import openai

        tokens = 0
        if body is not None and self.gate.tokens_per_minute is not None:
            tokens = len(json.dumps(body)) + max(
                (body.get(name) or 0 for name in LIMITS), default=0
            )
        try:
            async with self.gate.admitted(tokens):
                reply = await self._exchange(path, body, "doctor")
        except openai.APIStatusError as error:
            with reading():
                refusal = told_by(error, secrets=self._secrets)
                self._redact(refusal)
                said = redacted(error.body, self._secrets)
                content = redacted(error.response.content, self._secrets)
            return Probe(error.status_code, content, said, refusal)
        except BackendError as error:
            self._redact(error)
            raise
        with reading():
            return Probe(reply.status_code, redacted(reply.content, self._secrets))

    async def _exchange(
        self, path: str, body: Mapping[str, Any] | None, name: str
    ) -> "httpx2.Response":
        """Send a body once. Raises APIStatusError for a reply that says no, BackendError for no reply."""
        import httpx2
        import openai

        try:
            async with asyncio.timeout(self._total_timeout_s):
                # The client's own door for endpoints that it has no types for: `chat.completions.create`
                # would rewrite the body by its type hints, a fifth of the whole cost of a request.
                options: openai.RequestOptions = {
                    "headers": {**self._headers, "X-Client-Request-Id": name}
                }
                if body is None:
                    return await self._client.get(path, cast_to=httpx2.Response, options=options)
                return await self._client.post(
                    path, cast_to=httpx2.Response, body=body, options=options
                )
        except TimeoutError:
            raise error_of(
                Seen.TOO_SLOW, f"no whole reply within {self._request_timeout_s:g} s"
            ) from None
        except openai.APIConnectionError as error:  # time-outs are a kind of it
            raise untold(
                error,
                where=str(self._client.base_url),
                timeout_s=self._request_timeout_s,
                secrets=self._secrets,
            ) from None
        except openai.APIStatusError:
            raise
        except Exception as error:  # noqa: BLE001 - of the client, over what came back
            raise unreadable(error) from None


def _smallest(config: RunConfig) -> Request:
    """A request that costs next to nothing."""
    text = "Count on from 1 to 9: 1, 2, 3,"
    is_chat = config.api == "chat"
    return Request(
        id="check",
        stage="generate",
        prompt=Prompt(
            template="none",
            messages=(Message(role="user", content=text),) if is_chat else (),
            text=None if is_chat else text,
        ),
        sampling=Sampling(model=config.model, max_tokens=16, extra=config.extra_body or {}),
    )
