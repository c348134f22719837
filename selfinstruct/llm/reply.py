"""A reply as the endpoint sent it → a Completion, or what is wrong with it. Pure.

Replies are read from their raw JSON: endpoints send texts, error pages and half-filled objects with status
200, and typed objects of a client would pass those on without a word.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from selfinstruct.backend import scrub
from selfinstruct.errors import BackendError
from selfinstruct.llm.outcomes import Seen, error_of, from_status
from selfinstruct.llm.redaction import redacted
from selfinstruct.records import Completion, Usage

_SHOWN = 300
"""Characters of an endpoint's own words that an error carries."""


@contextmanager
def reading() -> Iterator[None]:
    """Whatever else goes wrong in here is an outcome as well: endpoints send what nobody has thought of."""
    try:
        yield
    except BackendError:
        raise
    except Exception as error:  # noqa: BLE001 - of whatever kind
        raise unreadable(error) from None


def unreadable(error: Exception) -> BackendError:
    """What it means that reading a reply failed in a way that no code foresees."""
    return error_of(Seen.NOT_JSON, f"a reply that cannot be read ({type(error).__name__})")


@reading()
def read_completion(
    body: bytes,
    *,
    attempts: int,
    latency_s: float,
    stop: Sequence[str] = (),
    secrets: Sequence[str] = (),
) -> Completion:
    """Read the body of a reply with status 200.

    The text ends before the first of the `stop` texts that it was asked to end before: some servers leave it
    in. Raises BackendError where it is no completion: broken JSON, a page, an error object, no choices; no
    secret is in its words. A reply without text (a refusal, a filtered one) is a completion with empty or the
    refusal's text.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):  # brackets can be nested deeper than the parser goes
        start = shown(redacted(body.decode(errors="replace"), secrets))
        raise error_of(
            Seen.NOT_JSON, f"the endpoint answered 200 with no JSON: {start or 'nothing at all'}"
        ) from None
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _no_choices(data, secrets)
    message = choices[0].get("message")
    # A chat has messages, a completion has its text in the choice itself.
    message = message if isinstance(message, dict) else {"content": choices[0].get("text")}
    text = _text(message.get("content")) or _text(message.get("refusal"))
    finish_reason = choices[0].get("finish_reason")
    for end in stop:
        if end in text:
            text, finish_reason = text.partition(end)[0], "stop"  # what its limit cut is gone
    return Completion(
        text=scrub(text),
        finish_reason=scrub(finish_reason) if isinstance(finish_reason, str) else None,
        model=scrub(str(data.get("model") or "")),
        usage=_usage(data.get("usage")),
        latency_s=round(latency_s, 6),
        attempts=attempts,
    )


def _no_choices(data: Any, secrets: Sequence[str]) -> Exception:
    error = data.get("error") if isinstance(data, dict) else None
    if not error:
        return error_of(
            Seen.NO_CHOICES, f"the endpoint answered 200 without choices: {quoted(data, secrets)}"
        )
    problem = f"the endpoint answered 200 with an error: {quoted(data, secrets)}"
    code = error.get("code") if isinstance(error, dict) else None
    # Relays hand on the status of somebody behind them in this way.
    if isinstance(code, int) and 400 <= code < 600:
        return error_of(from_status(code), problem, status=code)
    if isinstance(code, str):
        seen = from_status(500, code=code)  # a code that says more than the status, or nothing new
        return error_of(seen if seen is not Seen.BUSY else Seen.ERROR_BODY, problem)
    return error_of(Seen.ERROR_BODY, problem)


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
    found = Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=_cached(usage, prompt_tokens=prompt),
    )
    return found if found.is_credible else None


def _cached(usage: dict[str, Any], *, prompt_tokens: int) -> int:
    """Tokens of the prompt that came from a cache, in either of two forms; 0 where that makes no sense."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    if cached is None:
        cached = usage.get("prompt_cache_hit_tokens")
    if not isinstance(cached, int) or isinstance(cached, bool):
        return 0
    return cached if 0 <= cached <= prompt_tokens else 0


def words(body: object) -> str:
    """The endpoint's own words in an error body."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return str(error) if error is not None else ""


def quoted(body: object, secrets: Sequence[str]) -> str:
    """The endpoint's own words as an error carries them, without secrets."""
    # First, while each is whole and as it was written; once more for what was no text.
    return shown(redacted(words(redacted(body, secrets)), secrets))


def shown(text: str) -> str:
    """Somebody else's words as an error carries them: one line, and not too long."""
    line = " ".join(scrub(text[: 4 * _SHOWN]).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
