"""The online backend: chat or text completions over HTTP from any OpenAI-compatible endpoint.

The official client sends the requests. Its own retries are off: every attempt must be counted, reserved
(`backend.Reservations`) and admitted by the rate limiter. `outcomes` and `retry` decide about retries, and
`reply` reads the replies.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from selfinstruct.backend import Reservations
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost.worst_case import normalize, worst_case
from selfinstruct.errors import BackendError, RequestRejectedError, TransientError
from selfinstruct.llm.endpoint import NO_KEY, authorizes, client, headers
from selfinstruct.llm.failures import connection_error, status_error
from selfinstruct.llm.outcomes import OVERLOADED, AttemptOutcome, error_of, outcome_of
from selfinstruct.llm.rate_limits import Admission, RateLimiter
from selfinstruct.llm.redaction import redacted
from selfinstruct.llm.reply import read_completion, reading, unreadable
from selfinstruct.llm.request_body import (
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    MAX_TOKENS_NAMES,
    advice,
    api_path,
    parameters,
    wants_max_completion_tokens,
)
from selfinstruct.llm.retry import OnWait, policy, rate_limited_s
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling

if TYPE_CHECKING:
    import httpx2
    import openai

_MIN_KEY_CHARACTERS = 8
"""Shorter keys are placeholders for local servers; removing them would garble error messages."""
_OUTAGE_ROUNDS = 2
"""Rounds of `max_attempts` failures in a row, over all requests, that mean an outage."""
_TIMEOUTS = frozenset(
    {AttemptOutcome.SILENT, AttemptOutcome.TOO_SLOW, AttemptOutcome.GATEWAY_TIMEOUT}
)


@dataclass(frozen=True, slots=True)
class RawReply:
    """A reply of any status, without secrets."""

    status: int
    content: bytes
    error: object = None
    """Error object of the body, for an error status."""
    refusal: BackendError | None = None
    """Meaning of an error status."""


@dataclass(slots=True)
class _Attempts:
    """Attempts at a request so far."""

    sent: int = 0
    may_bill: bool = False
    """True if the endpoint may bill the last attempt."""


class OnlineBackend:
    """Sends requests in order of arrival, within the rate limits. Use as an async context manager."""

    def __init__(
        self,
        config: RunConfig,
        *,
        environ: Mapping[str, str],
        stop: asyncio.Event | None = None,
        on_wait: OnWait | None = None,
        budget: Reservations | None = None,
    ) -> None:
        """Prepare a client.

        `stop` ends all waiting. `on_wait` is called before each wait between attempts.
        `budget` reserves every attempt except the first, which the caller reserves. Raises ConfigError for a
        missing or invalid key or environment variable.
        """
        import openai

        self._stop = stop or asyncio.Event()
        self._on_wait = on_wait
        self._budget = budget
        self.limiter = RateLimiter(
            slots=config.max_concurrency,
            requests_per_minute=config.max_requests_per_minute,
            tokens_per_minute=config.max_tokens_per_minute,
            stop=self._stop,
        )
        self._longest_reply = 0
        """In tokens; the estimate for requests without max_tokens."""
        self._config = config
        self._failed_in_a_row = 0
        """Failed attempts of all requests since the last answer."""
        self._checks = _Attempts(may_bill=True)
        self._may_rename_max_tokens = config.token_limit not in MAX_TOKENS_NAMES
        self._max_tokens_name = MAX_TOKENS if self._may_rename_max_tokens else config.token_limit
        self._client = client(config, environ=environ)
        added = headers(config, environ=environ)
        self._headers: dict[str, str | openai.Omit] = {h.name: h.value for h in added}
        self._secrets = [secret for header in added for secret in header.secrets]
        if self._client.api_key != NO_KEY:
            if len(self._client.api_key) >= _MIN_KEY_CHARACTERS:
                self._secrets.append(self._client.api_key)
        elif authorizes(added):
            self._headers = {"Authorization": openai.Omit(), **self._headers}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def complete(self, request: Request) -> Completion:
        """Complete one request; see `Backend.complete`.

        Also raises LimitReachedError if the budget allows no further attempt.
        """
        attempts = _Attempts()
        retries = policy(
            max_attempts=self._config.max_attempts,
            sleep=self._pause,
            on_wait=self._on_wait,
            is_out=self._is_out,
            rate_limited_s=rate_limited_s(self._config.give_up_after_s),
        )

        async def attempt() -> Completion:
            if attempts.sent:
                self._reserve(request, attempts)
            return await self._attempt(request, attempts)

        try:
            return await retries(attempt)
        except BackendError as error:
            error.attempts = attempts.sent
            error.may_bill = attempts.may_bill
            raise

    async def answers(self) -> bool:
        """Return whether the endpoint answers a request of a few tokens; see `Checkable`.

        Raises LimitReachedError if the budget does not allow the request.
        """
        check = _tiny_request(self._config)
        # All checks have one id and count as attempts at one request.
        self._reserve(check, self._checks)
        try:
            await self._attempt(check, self._checks)
        except RequestRejectedError:
            return True  # the endpoint has read the request
        except TransientError:
            return False
        return True

    def _reserve(self, request: Request, attempts: _Attempts) -> None:
        if self._budget is not None:
            self._budget.reserve(request, is_billed=attempts.may_bill)
        attempts.may_bill = False  # the next attempt is not sent yet

    def _is_out(self) -> bool:
        return self._failed_in_a_row >= _OUTAGE_ROUNDS * self._config.max_attempts

    async def _pause(self, seconds: float) -> None:
        """Wait before another attempt. Raises TransientError if the run is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        if self._stop.is_set():
            raise TransientError("the run was stopped while waiting for another attempt")

    async def _attempt(self, request: Request, attempts: _Attempts) -> Completion:
        try:
            completion = await self._send(request, attempts)
            while completion is None:
                self._reserve(request, attempts)
                completion = await self._send(request, attempts)
        except BackendError as error:
            outcome = outcome_of(error)
            if not isinstance(error, TransientError):
                self._failed_in_a_row = 0  # a refusal is an answer too
            elif outcome is not None and outcome.rule.uses_attempt:
                self._failed_in_a_row += 1
            self._redact(error)
            raise
        self._failed_in_a_row = 0
        return completion

    def _redact(self, error: BackendError) -> None:
        error.reword(redacted(error.problem, self._secrets))

    def body(self, request: Request) -> dict[str, Any]:
        """Return the body that is sent for a request."""
        return parameters(request, max_tokens_name=self._max_tokens_name)

    async def _send(self, request: Request, attempts: _Attempts) -> Completion | None:
        """Send a request once; return None if the endpoint wants another name for max_tokens."""
        import openai

        async with self.limiter.admit(self._max_request_tokens(request)) as admission:
            attempts.sent += 1
            attempts.may_bill = True
            started = time.monotonic()
            body = self.body(request)
            reply: httpx2.Response | None = None
            try:
                try:
                    reply = await self._exchange(api_path(request), body, request.id)
                except openai.APIStatusError as error:
                    reply = error.response
                    refusal = self._refusal(error, request, body)
                    if refusal is None:
                        attempts.sent -= 1  # not a failure
                        attempts.may_bill = False
                        self.limiter.settle(admission, 0)
                        return None
                    raise refusal from None
                completion = normalize(
                    request,
                    read_completion(
                        reply.content,
                        request=request,
                        attempts=attempts.sent,
                        latency_s=time.monotonic() - started,
                        secrets=self._secrets,
                    ),
                )
            except BackendError as error:
                attempts.may_bill = error.may_bill
                self._failed(admission, error, reply)
                raise
            self.limiter.learn(reply.headers)
            self.limiter.answered(admission)
            usage = completion.usage
            if usage is not None:
                used = usage.prompt_tokens + usage.completion_tokens
                self.limiter.settle(admission, max(0, used))
                self._longest_reply = max(self._longest_reply, usage.completion_tokens)
            return completion

    def _max_request_tokens(self, request: Request) -> int:
        if self.limiter.tokens.per_minute is None:
            return 0
        most = worst_case(request)
        return most.prompt_tokens + (most.completion_tokens or self._longest_reply)

    def _failed(
        self, admission: Admission, error: BackendError, reply: "httpx2.Response | None"
    ) -> None:
        if isinstance(error, TransientError):
            is_overloaded = reply is not None and reply.status_code in OVERLOADED
            if outcome_of(error) is AttemptOutcome.RATE_LIMITED or is_overloaded:
                self.limiter.slow_down(admission, error.retry_after_s)
            elif outcome_of(error) in _TIMEOUTS:
                self.limiter.timed_out(admission)
        if reply is not None:
            self.limiter.learn(reply.headers)
        if not error.may_bill:
            self.limiter.settle(admission, 0)

    def _refusal(
        self, error: "openai.APIStatusError", request: Request, body: Mapping[str, Any]
    ) -> BackendError | None:
        """Return the error for an error status; None if the endpoint only wants max_completion_tokens."""
        with reading():
            is_renamed = self._may_rename_max_tokens and wants_max_completion_tokens(
                error.status_code, error.body, body
            )
            remedy = advice(error.status_code, error.body, request, body)
            refusal = status_error(error, remedy, secrets=self._secrets)
        if error.status_code == 401 and self._client.api_key == NO_KEY:
            hint = f"no key was sent: ${self._config.api_key_env} is not set"
            refusal.reword(f"{refusal.problem}; {hint}")
        if is_renamed:
            self._max_tokens_name = MAX_COMPLETION_TOKENS
            if self.body(request) != body:  # equal if max_tokens comes from --extra-body
                return None
        return refusal

    async def probe(self, path: str, body: Mapping[str, Any] | None = None) -> RawReply:
        """Make one exchange without retries: a POST with a body, a GET without.

        Returns the reply whatever its status. Raises BackendError without a reply.
        """
        import openai

        tokens = 0
        if body is not None and self.limiter.tokens.per_minute is not None:
            tokens = len(json.dumps(body)) + max(body.get(n) or 0 for n in MAX_TOKENS_NAMES)
        try:
            async with self.limiter.admit(tokens):
                reply = await self._exchange(path, body, "doctor")
        except openai.APIStatusError as error:
            with reading():
                refusal = status_error(error, secrets=self._secrets)
                self._redact(refusal)
                error_object = redacted(error.body, self._secrets)
                content = redacted(error.response.content, self._secrets)
            return RawReply(error.status_code, content, error_object, refusal)
        except BackendError as error:
            self._redact(error)
            raise
        with reading():
            return RawReply(reply.status_code, redacted(reply.content, self._secrets))

    async def _exchange(
        self, path: str, body: Mapping[str, Any] | None, name: str
    ) -> "httpx2.Response":
        """Send a body once. Raises APIStatusError for an error status, BackendError without a reply."""
        import httpx2
        import openai

        timeout_s = self._config.request_timeout_s
        try:
            async with asyncio.timeout(self._config.connect_timeout_s + timeout_s):
                # `post` instead of `chat.completions.create`, which would spend a fifth of the time of a
                # request on converting the body by its type hints.
                options: openai.RequestOptions = {
                    "headers": {**self._headers, "X-Client-Request-Id": name}
                }
                if body is None:
                    return await self._client.get(path, cast_to=httpx2.Response, options=options)
                return await self._client.post(
                    path, cast_to=httpx2.Response, body=body, options=options
                )
        except TimeoutError:
            problem = f"no complete reply within {timeout_s:g} s"
            raise error_of(AttemptOutcome.TOO_SLOW, problem) from None
        except openai.APIConnectionError as error:  # also the base of timeouts
            url = str(self._client.base_url)
            raise connection_error(
                error, url=url, timeout_s=timeout_s, secrets=self._secrets
            ) from None
        except openai.APIStatusError:
            raise
        except Exception as error:  # noqa: BLE001 - the client raises anything for odd replies
            raise unreadable(error) from None


def _tiny_request(config: RunConfig) -> Request:
    """Return a request that costs almost nothing."""
    text = "Count on from 1 to 9: 1, 2, 3,"
    prompt = Prompt(template="none", text=text)
    if config.api == "chat":
        prompt = Prompt(template="none", messages=(Message(role="user", content=text),))
    sampling = Sampling(model=config.model, max_tokens=16, extra=config.extra_body or {})
    return Request(id="check", stage="generate", prompt=prompt, sampling=sampling)
