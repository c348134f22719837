"""Read a reply's body: return a Completion, or raise the error that the body describes.

The body is parsed as plain JSON, because endpoints may send plain text, error pages and incomplete objects
with status 200. The `openai` client's typed objects would hide such replies.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from selfinstruct.display import scrub
from selfinstruct.errors import BackendError, TransientError
from selfinstruct.llm.logprobs import Logprobs, read_logprobs, without_echo
from selfinstruct.llm.outcome_rules import AttemptOutcome, error_of, from_status
from selfinstruct.llm.redaction import redacted
from selfinstruct.records import Completion, Request, Usage
from selfinstruct.records.finish_reasons import Ending, ending

_MAX_SHOWN_CHARACTERS = 300
"""Maximum length of the endpoint's text that an error message quotes, in characters."""
_MAX_NAME_CHARACTERS = 200
"""Maximum length of a stored model name or finish reason, in characters."""


@contextmanager
def reading() -> Iterator[None]:
    """Convert any exception in the `with` block to a BackendError, because endpoints may send anything."""
    try:
        yield
    except BackendError:
        raise
    except Exception as error:  # noqa: BLE001 - endpoints may send anything
        raise unreadable(error) from None


def unreadable(error: Exception) -> BackendError:
    """Return the error for a reply whose reading raised an unexpected exception."""
    return error_of(AttemptOutcome.NOT_JSON, f"the reply cannot be read ({type(error).__name__})")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with any status."""

    content: bytes
    status: int = 200
    error: object = None
    """The body's error object, if the status is an error."""
    refusal: BackendError | None = None
    """The error that the status means, or None if the status is not an error."""
    attempts: int = 1
    latency_s: float = 0.0
    secrets: Sequence[str] = field(default=(), repr=False)
    """Texts to remove from messages about the reply."""


@reading()
def read_completion(reply: Reply, request: Request | None = None) -> Completion:
    """Return the completion in a reply with status 200. Read log-probabilities only if `request` is given.

    Raises BackendError, without secrets, if the body is not a completion: invalid JSON, a web page, no
    choices, an error object instead of choices or inside them, or a finish reason that means a failure. If
    the reply has no content, the completion's text is the refusal, or empty if there is no refusal.
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
    # In the completions API, the choice contains the text directly, without a message.
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
    """Return a name, shortened to its maximum length, or "" if the value is not a string."""
    return scrub(value[:_MAX_NAME_CHARACTERS]) if isinstance(value, str) else ""


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    """Return a choice's finish reason, or the vendor's native one if the relay's masks a truncation."""
    words = [_name(choice.get(name)) for name in ("finish_reason", "native_finish_reason")]
    cut = (word for word in words if ending(word) not in (Ending.WHOLE, Ending.UNKNOWN))
    return next(cut, None) or next(filter(None, words), None)


def _failure(
    members: Sequence[Mapping[str, Any]], finish_reason: str | None, secrets: Sequence[str]
) -> BackendError | None:
    """Return the error in a reply that has choices, or None if there is no error.

    An endpoint that fails in the middle of a reply has already sent status 200. The partial text is
    discarded, but may be billed.
    """
    failed = next((member for member in members if _has_error(member)), None)
    if failed is not None:
        failure = _error_body(failed, secrets)
        if not isinstance(failure, TransientError):
            # The endpoint had accepted the request, so the error code cannot be about the request.
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
    """Return the error for a reply that has status 200 but contains an error object."""
    error = data["error"]
    problem = f"the endpoint answered 200 with an error: {quoted(data, secrets)}"
    code = error.get("code") if isinstance(error, dict) else None
    # Relays report the upstream server's status as the error code.
    if isinstance(code, int) and 400 <= code < 600:
        return error_of(from_status(code), problem, status=code)
    if isinstance(code, str):
        outcome = from_status(500, code=code)
        # BUSY is the outcome of the status 500 itself, so the code is unknown.
        is_known = outcome is not AttemptOutcome.BUSY
        return error_of(outcome if is_known else AttemptOutcome.ERROR_BODY, problem)
    return error_of(AttemptOutcome.ERROR_BODY, problem)


def _text(content: object) -> str:
    """Return the text of a message's content, a string or a list of parts, without reasoning."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return "".join(_text(p.get("text")) for p in parts if p.get("type") not in _REASONING_PARTS)
    return content if isinstance(content, str) else ""


_REASONING_PARTS = ("thinking", "reasoning", "redacted_thinking", "thought")
"""Types of the content parts that contain reasoning, as sent by Mistral, Anthropic and relays."""


def read_usage(usage: object, *, has_text: bool) -> Usage | str | None:
    """Read a reply's token counts. `has_text` is true if the reply has visible text.

    Returns the usage, a description of the problem if the counts are impossible, or None if there are no
    counts. Reasoning tokens count as completion tokens, even if only `total_tokens` or the details include
    them.
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
    if not read.is_credible(has_text=has_text):
        return f"prompt_tokens is {prompt}, completion_tokens is {written}"
    return read


def _cached(usage: dict[str, Any], *, prompt_tokens: int) -> int:
    """Return the number of cached prompt tokens, or 0 if it is missing or impossible.

    OpenAI reports it in `prompt_tokens_details`, other endpoints as `prompt_cache_hit_tokens`.
    """
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
    """Return the message in an error body, shortened and without secrets, to quote it in an error."""
    # Redact the strings first, then the message, because other values become text only there.
    return shortened(redacted(error_message(redacted(body, secrets)), secrets))


def shortened(text: str, length: int = _MAX_SHOWN_CHARACTERS) -> str:
    """Return the endpoint's text as one line of at most `length` characters."""
    line = " ".join(scrub(text[: 4 * length]).split())
    return line if len(line) <= length else line[: length - 1] + "…"
