"""The endpoint client: sends exchanges to any API path, with rate limits, retries and reservations.

    async with EndpointClient(settings, environ=os.environ) as client:
        text = await client.send(
            Exchange(id="1", path="/completions", body=lambda: {…}, most=Consumption(requests=1), read=read)
        )

The official `openai` client sends the requests. Its own retries are off, because every attempt must be
counted, reserved (`backend.Reservations`) and admitted by the rate limiter. `outcomes` and `retry` decide on
retries.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from selfinstruct.backend import Reservations
from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.cost import NOTHING, Consumption
from selfinstruct.errors import BackendError, RequestRejectedError, TransientError
from selfinstruct.llm.client_errors import connection_error, status_error
from selfinstruct.llm.http_client import NO_KEY, authorizes, headers, http_client
from selfinstruct.llm.outcome_rules import OVERLOADED, AttemptOutcome, error_of, outcome_of
from selfinstruct.llm.rate_limits import Admission, RateLimiter
from selfinstruct.llm.redaction import redacted
from selfinstruct.llm.reply import Reply, reading, unreadable
from selfinstruct.llm.retry import OnWait, policy, rate_limited_s
from selfinstruct.records import Usage

if TYPE_CHECKING:
    import httpx2
    import openai

T = TypeVar("T")

_MIN_KEY_CHARACTERS = 8
"""Minimum length of an API key that is redacted. Shorter keys are placeholders for local servers, and
redacting them would garble error messages."""
_OUTAGE_ROUNDS = 2
"""An outage is `_OUTAGE_ROUNDS * max_attempts` failures in a row, counted over all exchanges."""
_TIMEOUTS = frozenset(
    {AttemptOutcome.SILENT, AttemptOutcome.TOO_SLOW, AttemptOutcome.GATEWAY_TIMEOUT}
)


@dataclass(slots=True, kw_only=True)
class Exchange(Generic[T]):
    """A request to the endpoint, how to read its reply, and the attempts so far."""

    id: str
    path: str
    """API path, relative to the base URL."""
    body: Callable[[], Mapping[str, Any]]
    """Returns the next attempt's body."""
    most: Consumption
    """Maximum consumption of one attempt. It has no completion tokens if the reply's length is unlimited."""
    read: Callable[[Reply], tuple[T, Usage | None]]
    """Returns a reply's result and usage. If it raises an exception, the reply counts as unreadable."""
    refused: Callable[[int, object, Mapping[str, Any]], str | None] = lambda *_: ""
    """Returns advice for the user, given an error status, the error object and the body that was sent.

    None means that the exchange has another body, which is sent immediately.
    """
    sent: int = 0
    """Number of attempts, except those whose refusal only changed the body."""
    may_bill: bool = False
    """True if the endpoint may bill the last attempt."""


class EndpointClient:
    """Sends exchanges in the order they arrive, within the rate limits. Use as an async context manager."""

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        environ: Mapping[str, str],
        budget: Reservations | None = None,
        stop: asyncio.Event | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        """Prepare a client for the endpoint in `settings`.

        `budget` reserves every attempt except an exchange's first, which the caller reserves. Setting `stop`
        ends all waits. `on_wait` is called before each wait between attempts. Raises ConfigError if the key
        or an environment variable is missing or invalid.
        """
        import openai

        self.settings = settings
        self._budget = budget
        self._stop = stop or asyncio.Event()
        self._on_wait = on_wait
        self.limiter = RateLimiter(
            slots=settings.max_concurrency,
            requests_per_minute=settings.max_requests_per_minute,
            tokens_per_minute=settings.max_tokens_per_minute,
            stop=self._stop,
        )
        self._longest_reply = 0
        """Length of the longest reply so far, in tokens: the estimate for replies of unlimited length."""
        self._failed_in_a_row = 0
        """Number of failed attempts, over all exchanges, since the endpoint last answered."""
        self._http = http_client(settings, environ=environ)
        added = headers(settings, environ=environ)
        self._headers: dict[str, str | openai.Omit] = {h.name: h.value for h in added}
        self._secrets = [secret for header in added for secret in header.secrets]
        if self._http.api_key != NO_KEY:
            if len(self._http.api_key) >= _MIN_KEY_CHARACTERS:
                self._secrets.append(self._http.api_key)
        elif authorizes(added):
            self._headers = {"Authorization": openai.Omit(), **self._headers}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def send(self, exchange: Exchange[T]) -> T:
        """Send an exchange and return its result. Retry as often as the outcomes of its attempts allow.

        Raises BackendError, or LimitReachedError if the budget allows no further attempt.
        """
        retries = policy(
            max_attempts=self.settings.max_attempts,
            sleep=self._pause,
            on_wait=self._on_wait,
            is_out=lambda: self._failed_in_a_row >= _OUTAGE_ROUNDS * self.settings.max_attempts,
            rate_limited_s=rate_limited_s(self.settings.give_up_after_s),
        )

        async def attempt() -> T:
            if exchange.sent:
                self._reserve(exchange)
            return await self._attempt(exchange)

        try:
            return await retries(attempt)
        except BackendError as error:
            error.attempts = exchange.sent
            error.may_bill = exchange.may_bill
            raise

    async def answers(self, check: Exchange[Any]) -> bool:
        """Reserve and send one attempt. Return whether the endpoint answers.

        Raises EndpointError, or LimitReachedError if the budget does not allow the attempt.
        """
        self._reserve(check)
        try:
            await self._attempt(check)
        except RequestRejectedError:
            return True  # The rejection shows that the endpoint read the request.
        except TransientError:
            return False
        return True

    async def probe(
        self, path: str, body: Mapping[str, Any] | None = None, *, most: Consumption = NOTHING
    ) -> Reply:
        """Make one attempt without a reservation: a POST if there is a body, otherwise a GET.

        Returns the reply, whatever its status, without secrets. Raises BackendError if no reply arrives.
        """
        try:
            async with self.limiter.admit(self._rate_tokens(most)):
                response, error = await self._exchange(path, body, "doctor")
            with reading():
                content = redacted(response.content, self._secrets)
                if error is None:
                    return Reply(content, status=response.status_code)
                refusal = status_error(error, secrets=self._secrets)
                self._redact(refusal)
                error_object = redacted(error.body, self._secrets)
                return Reply(content, error.status_code, error_object, refusal)
        except BackendError as error:
            self._redact(error)
            raise

    # ── attempts ─────────────────────────────────────────────────────────────────────────────────────────

    def _reserve(self, exchange: Exchange[Any]) -> None:
        if self._budget is not None:
            self._budget.reserve(exchange.id, exchange.most, is_billed=exchange.may_bill)
        exchange.may_bill = False  # The next attempt has not been sent yet.

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt. Raises TransientError if the run is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        if self._stop.is_set():
            raise TransientError("the run was stopped while waiting for the next attempt")

    async def _attempt(self, exchange: Exchange[T]) -> T:
        try:
            while (result := await self._send(exchange)) is None:
                self._reserve(exchange)
        except BackendError as error:
            outcome = outcome_of(error)
            if not isinstance(error, TransientError):
                self._failed_in_a_row = 0  # The endpoint answered, although with a refusal.
            elif outcome is not None and outcome.rule.uses_attempt:
                self._failed_in_a_row += 1
            self._redact(error)
            raise
        self._failed_in_a_row = 0
        return result[0]

    def _redact(self, error: BackendError) -> None:
        error.reword(redacted(error.problem, self._secrets))

    async def _send(self, exchange: Exchange[T]) -> tuple[T, Usage | None] | None:
        """Send an exchange once. Return its result and usage, or None if a refusal has changed the body."""
        async with self.limiter.admit(self._rate_tokens(exchange.most)) as admission:
            exchange.sent += 1
            exchange.may_bill = True
            started = time.monotonic()
            body = exchange.body()
            response: httpx2.Response | None = None
            try:
                response, refused = await self._exchange(exchange.path, body, exchange.id)
                if refused is not None:
                    self._raise_refusal(refused, exchange, body)
                    # A refusal that only changes the body is not a failed attempt.
                    exchange.sent -= 1
                    exchange.may_bill = False
                    self.limiter.settle(admission, 0)
                    return None
                reply = Reply(
                    response.content,
                    attempts=exchange.sent,
                    latency_s=time.monotonic() - started,
                    secrets=self._secrets,
                )
                with reading():
                    result, usage = exchange.read(reply)
            except BackendError as error:
                exchange.may_bill = error.may_bill
                self._failed(admission, error, response)
                raise
            self.limiter.learn(response.headers)
            self.limiter.answered(admission)
            if usage is not None:
                used = usage.prompt_tokens + usage.completion_tokens
                self.limiter.settle(admission, max(0, used))
                self._longest_reply = max(self._longest_reply, usage.completion_tokens)
            return result, usage

    def _rate_tokens(self, most: Consumption) -> int:
        if self.limiter.tokens.per_minute is None:
            return 0
        return most.prompt_tokens + (most.completion_tokens or self._longest_reply)

    def _failed(
        self, admission: Admission, error: BackendError, response: "httpx2.Response | None"
    ) -> None:
        if isinstance(error, TransientError):
            is_overloaded = response is not None and response.status_code in OVERLOADED
            if outcome_of(error) is AttemptOutcome.RATE_LIMITED or is_overloaded:
                self.limiter.slow_down(admission, error.retry_after_s)
            elif outcome_of(error) in _TIMEOUTS:
                self.limiter.timed_out(admission)
        if response is not None:
            self.limiter.learn(response.headers)
        if not error.may_bill:
            self.limiter.settle(admission, 0)

    def _raise_refusal(
        self, error: "openai.APIStatusError", exchange: Exchange[Any], body: Mapping[str, Any]
    ) -> None:
        """Raise the error for a reply's error status, unless the exchange has another body to send."""
        with reading():
            advice = exchange.refused(error.status_code, error.body, body)
            if advice is None:
                return
            refusal = status_error(error, advice, secrets=self._secrets)
        if error.status_code == 401 and self._http.api_key == NO_KEY:
            hint = f"no key was sent: ${self.settings.api_key_env} is not set"
            refusal.reword(f"{refusal.problem}; {hint}")
        raise refusal

    async def _exchange(
        self, path: str, body: Mapping[str, Any] | None, name: str
    ) -> "tuple[httpx2.Response, openai.APIStatusError | None]":
        """Send a body once. Return the response, and an error if its status is an error.

        Raises BackendError if no reply arrives.
        """
        import httpx2
        import openai

        timeout_s = self.settings.request_timeout_s
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s + timeout_s):
                # This is `post`, because `chat.completions.create` would spend a fifth of a request's
                # time on converting the body according to its type hints.
                options: openai.RequestOptions = {
                    "headers": {**self._headers, "X-Client-Request-Id": name}
                }
                send = self._http.get if body is None else partial(self._http.post, body=body)
                return await send(path, cast_to=httpx2.Response, options=options), None
        except TimeoutError:
            problem = f"no complete reply within {timeout_s:g} s"
            raise error_of(AttemptOutcome.TOO_SLOW, problem) from None
        except openai.APIConnectionError as error:  # Timeout errors are a subclass.
            url = str(self._http.base_url)
            raise connection_error(
                error, url=url, timeout_s=timeout_s, secrets=self._secrets
            ) from None
        except openai.APIStatusError as error:
            return error.response, error
        except Exception as error:  # noqa: BLE001 - odd replies may make the client raise any exception
            raise unreadable(error) from None
