"""Read the body of a reply: return a Completion, or raise the error that the body describes.

The body is read as plain JSON, because endpoints send texts, error pages and incomplete objects with status
200, and the typed objects of the client would hide them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from selfinstruct.errors import BackendError, TransientError
from selfinstruct.llm.logprobs import Logprobs, read_logprobs, without_echo
from selfinstruct.llm.outcomes import AttemptOutcome, error_of, from_status
from selfinstruct.llm.redaction import redacted
from selfinstruct.records import Completion, Request, Usage
from selfinstruct.records.finish_reasons import Ending, ending
from selfinstruct.text import scrub

_MAX_SHOWN_CHARACTERS = 300
"""Maximum length of a text of the endpoint in an error message."""
_MAX_NAME_CHARACTERS = 200
"""Maximum stored length of a model name and a finish reason."""


@contextmanager
def reading() -> Iterator[None]:
    """Convert any exception to a BackendError, because endpoints may send anything."""
    try:
        yield
    except BackendError:
        raise
    except Exception as error:  # noqa: BLE001 - see the docstring
        raise unreadable(error) from None


def unreadable(error: Exception) -> BackendError:
    """Return the error for a reply that raised an unexpected exception."""
    return error_of(
        AttemptOutcome.NOT_JSON, f"a reply that cannot be read ({type(error).__name__})"
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of any status."""

    content: bytes
    status: int = 200
    error: object = None
    """Error object of the body, for an error status."""
    refusal: BackendError | None = None
    """Meaning of an error status."""
    attempts: int = 1
    latency_s: float = 0.0
    secrets: Sequence[str] = field(default=(), repr=False)
    """Texts to remove from messages about the reply."""


@reading()
def read_completion(reply: Reply, request: Request | None = None) -> Completion:
    """Read the body of a reply with status 200; without the request, read no log-probabilities.

    Raises BackendError, without secrets, for anything but a completion: invalid JSON, a page, no choices, an
    error object instead of choices or inside them, the finish reason of a failure. A reply without text is a
    completion with an empty text, or with the text of the refusal.
    """
    secrets = reply.secrets
    try:
        data = json.loads(reply.content)
    except (ValueError, RecursionError):
        start = shortened(redacted(reply.content.decode(errors="replace"), secrets))
        raise error_of(
            AttemptOutcome.NOT_JSON,
            f"the endpoint answered 200 without JSON: {start or 'empty body'}",
        ) from None
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _no_choices(data, secrets)
    message = choices[0].get("message")
    # The completions API has no messages, and the text is in the choice.
    message = message if isinstance(message, dict) else {"content": choices[0].get("text")}
    finish_reason = _finish_reason(choices[0])
    failure = _failure((data, choices[0], message), finish_reason, secrets)
    if failure is not None:
        raise failure
    text = scrub(_text(message.get("content")) or _text(message.get("refusal")))
    logprobs = Logprobs()
    if request is not None:
        text = without_echo(text, request)
        logprobs = read_logprobs(data, request)
    usage = read_usage(data.get("usage"), has_text=bool(text))
    return Completion(
        text=text,
        finish_reason=finish_reason,
        model=_name(data.get("model")),
        usage=usage if isinstance(usage, Usage) else None,
        latency_s=round(reply.latency_s, 6),
        attempts=reply.attempts,
        logprobs=logprobs.reply,
        prompt_logprobs=logprobs.prompt,
    )


def _name(value: object) -> str:
    """Return a name of bounded length, or "" if the value is not text."""
    return scrub(value[:_MAX_NAME_CHARACTERS]) if isinstance(value, str) else ""


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    """Return the finish reason of a choice, or the model vendor's own word where a relay hides a cut."""
    words = [_name(choice.get(name)) for name in ("finish_reason", "native_finish_reason")]
    cut = (word for word in words if ending(word) not in (Ending.WHOLE, Ending.UNKNOWN))
    return next(cut, None) or next(filter(None, words), None)


def _failure(
    members: Sequence[Mapping[str, Any]], finish_reason: str | None, secrets: Sequence[str]
) -> BackendError | None:
    """Return the error in a reply with choices, or None.

    An endpoint that fails in the middle of a reply has already sent status 200. The partial text is discarded
    and may be billed.
    """
    failed = next((member for member in members if _has_error(member)), None)
    if failed is not None:
        failure = _error_body(failed, secrets)
        if not isinstance(failure, TransientError):
            # The endpoint accepted the request, so the code is not about the request.
            failure = error_of(AttemptOutcome.ERROR_BODY, failure.problem)
    elif ending(finish_reason) is Ending.FAILED:
        failure = error_of(
            AttemptOutcome.ERROR_BODY,
            f"the endpoint ended the reply early (finish reason {shortened(finish_reason or '')})",
        )
    else:
        return None
    failure.may_bill = True
    return failure


def _has_error(member: Mapping[str, Any]) -> bool:
    error = member.get("error")
    return any(error.values()) if isinstance(error, dict) else bool(error)


def _no_choices(data: Any, secrets: Sequence[str]) -> BackendError:
    if isinstance(data, dict) and data.get("error"):
        return _error_body(data, secrets)
    return error_of(
        AttemptOutcome.NO_CHOICES,
        f"the endpoint answered 200 without choices: {quoted(data, secrets)}",
    )


def _error_body(data: Mapping[str, Any], secrets: Sequence[str]) -> BackendError:
    """Return the error for a reply with status 200 and an error object."""
    error = data["error"]
    problem = f"the endpoint answered 200 with an error: {quoted(data, secrets)}"
    code = error.get("code") if isinstance(error, dict) else None
    # Relays report the status of an upstream server as the code.
    if isinstance(code, int) and 400 <= code < 600:
        return error_of(from_status(code), problem, status=code)
    if isinstance(code, str):
        outcome = from_status(500, code=code)
        # BUSY only repeats the status 500: the code is unknown.
        is_known = outcome is not AttemptOutcome.BUSY
        return error_of(outcome if is_known else AttemptOutcome.ERROR_BODY, problem)
    return error_of(AttemptOutcome.ERROR_BODY, problem)


def _text(content: object) -> str:
    """Return the text of a string or a list of parts, without reasoning."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return "".join(_text(p.get("text")) for p in parts if p.get("type") not in _REASONING_PARTS)
    return content if isinstance(content, str) else ""


_REASONING_PARTS = ("thinking", "reasoning", "redacted_thinking", "thought")
"""Types of parts with reasoning: Mistral, Anthropic, relays."""


def read_usage(usage: object, *, has_text: bool) -> Usage | str | None:
    """Read the token counts of a reply; `has_text` is whether the reply has visible text.

    Returns the usage, a description of impossible counts, or None without counts. Reasoning tokens count as
    completion tokens, even if only `total_tokens` or the details include them.
    """
    if not isinstance(usage, dict):
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    counts: dict[str, int] = {name: usage[name] for name in names if usage.get(name) is not None}
    if not counts.keys() & set(names[:2]):
        return None
    for name, count in counts.items():
        if type(count) is not int or count < 0:
            return f"{name} is {shortened(json.dumps(count))}"
    if len(counts.keys() & set(names[:2])) == 1:
        return f"the only count is {shortened(', '.join(counts))}"
    prompt, stated = counts["prompt_tokens"], counts["completion_tokens"]
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    written = max(stated, counts.get("total_tokens", 0) - prompt)
    if type(reasoning) is int and reasoning > stated:
        written = max(written, stated + reasoning)
    read = Usage(
        prompt_tokens=prompt,
        completion_tokens=written,
        cached_tokens=_cached(usage, prompt_tokens=prompt),
    )
    if not read.is_credible or (has_text and not written):
        return f"prompt_tokens is {prompt}, completion_tokens is {written}"
    return read


def _cached(usage: dict[str, Any], *, prompt_tokens: int) -> int:
    """Return the cached prompt tokens in either format; 0 for an impossible number."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    if cached is None:
        cached = usage.get("prompt_cache_hit_tokens")
    return cached if type(cached) is int and 0 <= cached <= prompt_tokens else 0


def error_message(body: object) -> str:
    """Return the message in an error body."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return str(error) if error is not None else ""


def quoted(body: object, secrets: Sequence[str]) -> str:
    """Return the message in an error body for an error of ours, shortened and without secrets."""
    # Redact whole strings first; redact again, because other objects become text only then.
    return shortened(redacted(error_message(redacted(body, secrets)), secrets))


def shortened(text: str, length: int = _MAX_SHOWN_CHARACTERS) -> str:
    """Return a text of the endpoint as one line of bounded length."""
    line = " ".join(scrub(text[: 4 * length]).split())
    return line if len(line) <= length else line[: length - 1] + "…"
