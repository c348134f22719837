"""The online backend: completions over HTTP, chat or text, against any OpenAI-compatible endpoint.

The official client sends and reads; retrying is ours alone (`llm.retry`), so that every attempt is counted.
Replies are read from their raw JSON: endpoints send texts, error pages and half-filled objects with status
200, and the client's typed objects pass those on without a word.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from selfinstruct.backend import scrub
from selfinstruct.config import RunConfig
from selfinstruct.errors import BackendError, TransientError
from selfinstruct.llm.endpoint import NO_KEY, address, api_key
from selfinstruct.llm.retry import OnWait, from_status, policy
from selfinstruct.records import Completion, Request, Usage

_SHOWN = 300
"""Characters of an endpoint's own words that an error carries."""


class OnlineBackend:
    """Sends requests as they come. Use as an async context manager."""

    def __init__(
        self,
        config: RunConfig,
        *,
        environ: Mapping[str, str],
        stop: asyncio.Event | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_wait: OnWait | None = None,
    ) -> None:
        """Prepare a client.

        `stop` ends waiting between attempts; `sleep` is how to wait; `on_wait` is told of every wait.
        Raises ConfigError where a key is needed and none is set.
        """
        import httpx2
        import openai

        self._stop = stop or asyncio.Event()
        self._sleep = sleep
        self._on_wait = on_wait
        self._max_attempts = config.max_attempts
        limits = httpx2.Limits(
            max_connections=config.max_concurrency,
            max_keepalive_connections=config.max_concurrency,
            # The client's own 5 s would close connections while replies take longer than that.
            keepalive_expiry=60.0,
        )
        timeout = httpx2.Timeout(config.request_timeout_s, connect=config.connect_timeout_s)
        self._timeout_s = config.request_timeout_s
        self._client: openai.AsyncOpenAI = openai.AsyncOpenAI(
            api_key=api_key(config, environ=environ),
            base_url=address(config, environ=environ),
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultAsyncHttpx2Client(limits=limits, timeout=timeout),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def complete(self, request: Request) -> Completion:
        """Complete one request; see `Backend.complete`."""
        attempts = 0
        try:
            attempts_allowed = policy(
                max_attempts=self._max_attempts, sleep=self._pause, on_wait=self._on_wait
            )
            async for attempt in attempts_allowed:
                with attempt:
                    attempts += 1
                    return await self._attempt(request, attempts)
        except BackendError as error:
            error.attempts = attempts
            raise
        raise AssertionError("the policy reraises")

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

    async def _attempt(self, request: Request, attempts: int) -> Completion:
        try:
            return await self._send(request, attempts)
        except BackendError as error:
            if self._client.api_key != NO_KEY:
                error.redact(self._client.api_key)
            raise

    async def _send(self, request: Request, attempts: int) -> Completion:
        import httpx2
        import openai

        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                # The client's own door for endpoints that it has no types for: `chat.completions.create`
                # would rewrite the body by its type hints, a fifth of the whole cost of a request.
                reply = await self._client.post(
                    "/completions" if request.prompt.text is not None else "/chat/completions",
                    cast_to=httpx2.Response,
                    body=parameters(request),
                    options={"headers": {"X-Client-Request-Id": request.id}},
                )
        except TimeoutError:
            raise TransientError(f"no whole reply within {self._timeout_s:g} s") from None
        except openai.APIStatusError as error:
            raise from_status(
                error.status_code,
                message=_shown(_message(error.body) or error.message),
                code=error.code,
                headers=error.response.headers,
                now=datetime.now(UTC),
            ) from None
        except openai.APITimeoutError:
            raise TransientError("the endpoint did not answer in time") from None
        except openai.APIConnectionError as error:
            raise TransientError(
                f"no connection to {self._client.base_url} ({_cause(error)}); "
                "does the server run, and is --base-url right?"
            ) from None
        return read_completion(
            reply.content,
            attempts=attempts,
            latency_s=time.monotonic() - started,
        )


def parameters(request: Request) -> dict[str, Any]:
    """A request as the API takes it, that for chats or that for texts; what is None is not sent."""
    sampling = request.sampling
    optional = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
    }
    asked: dict[str, Any]
    if request.prompt.text is not None:
        asked = {"prompt": request.prompt.text}
    else:
        asked = {
            "messages": [{"role": m.role, "content": m.content} for m in request.prompt.messages]
        }
    return {
        "model": sampling.model,
        **asked,
        **{name: value for name, value in optional.items() if value is not None},
    }


def read_completion(body: bytes, *, attempts: int, latency_s: float) -> Completion:
    """Read the body of a reply with status 200.

    Raises TransientError where it is no completion: broken JSON, a page, an error object, no choices.
    A reply without text (a refusal, a filtered one) is a completion with empty or the refusal's text.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):  # brackets can be nested deeper than the parser goes
        raise TransientError(
            f"the endpoint answered 200 with no JSON: {_shown(body[:_SHOWN].decode(errors='replace'))}"
        ) from None
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise TransientError(f"the endpoint answered 200 without choices: {_shown(_message(data))}")
    message = choices[0].get("message")
    # A chat has messages, a completion has its text in the choice itself.
    message = message if isinstance(message, dict) else {"content": choices[0].get("text")}
    text = _text(message.get("content")) or _text(message.get("refusal"))
    finish_reason = choices[0].get("finish_reason")
    return Completion(
        text=scrub(text),
        finish_reason=scrub(finish_reason) if isinstance(finish_reason, str) else None,
        model=scrub(str(data.get("model") or "")),
        usage=_usage(data.get("usage")),
        latency_s=round(latency_s, 6),
        attempts=attempts,
    )


def _text(content: object) -> str:
    """Content as text: a string, or the texts of a list of parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def _message(body: object) -> str:
    """The endpoint's own words in an error body."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error
    return str(error) if error is not None else ""


def _cause(error: Exception) -> str:
    """Why there is no connection. A header that cannot be sent is not repeated: it may hold the key."""
    import httpx2

    cause = error.__cause__
    return str(cause) if isinstance(cause, httpx2.NetworkError) else type(cause or error).__name__


def _shown(text: str) -> str:
    line = " ".join(scrub(text).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
