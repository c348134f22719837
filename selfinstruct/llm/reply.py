"""A reply as the endpoint sent it → a Completion, or what is wrong with it. Pure.

Replies are read from their raw JSON: endpoints send texts, error pages and half-filled objects with status
200, and typed objects of a client would pass those on without a word.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from selfinstruct.errors import BackendError
from selfinstruct.llm.outcomes import Seen, error_of, from_status
from selfinstruct.llm.redaction import redacted
from selfinstruct.records import Completion, Usage
from selfinstruct.records.finish_reasons import Ending, ending
from selfinstruct.text import scrub

_SHOWN = 300
"""Characters of an endpoint's own words that an error carries."""
_LONGEST_NAME = 200
"""Characters of a model's name and of a finish reason that are stored."""


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
    secrets: Sequence[str] = (),
) -> Completion:
    """Read the body of a reply with status 200.

    Raises BackendError where the body is no completion: broken JSON, a page, no choices, an error object
    instead of choices or inside them, a finish reason that names a failure. The error holds no secret. A
    reply without text is a completion with an empty text, or with the text of the refusal.
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
    finish_reason = _name(choices[0].get("finish_reason")) or None
    failure = _failure((data, choices[0], message), finish_reason, secrets)
    if failure is not None:
        raise failure
    text = scrub(_text(message.get("content")) or _text(message.get("refusal")))
    usage = read_usage(data.get("usage"), has_text=bool(text))
    return Completion(
        text=text,
        finish_reason=finish_reason,
        model=_name(data.get("model")),
        usage=usage if isinstance(usage, Usage) else None,
        latency_s=round(latency_s, 6),
        attempts=attempts,
    )


def _name(value: object) -> str:
    """Return a name as it is stored: a text of bounded length, "" for anything else."""
    return scrub(value[:_LONGEST_NAME]) if isinstance(value, str) else ""


def _failure(
    members: Sequence[Mapping[str, Any]], finish_reason: str | None, secrets: Sequence[str]
) -> BackendError | None:
    """Return what a reply with choices says about its own failure, or None.

    Endpoints that fail in the middle of a reply have sent status 200 by then. The text up to that point is no
    answer, and may be billed.
    """
    failed = next((member for member in members if _has_error(member)), None)
    if failed is not None:
        failure = _error_body(failed, secrets)
    elif ending(finish_reason) is Ending.FAILED:
        failure = error_of(
            Seen.ERROR_BODY,
            f"the endpoint broke its reply off (finish reason {shown(finish_reason or '')})",
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
        Seen.NO_CHOICES, f"the endpoint answered 200 without choices: {quoted(data, secrets)}"
    )


def _error_body(data: Mapping[str, Any], secrets: Sequence[str]) -> BackendError:
    """Return what the error object of a reply with status 200 means."""
    error = data["error"]
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
    """Return content as text: a string, or the texts of a list of parts. Reasoning is no content."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        return "".join(_text(p.get("text")) for p in parts if p.get("type") not in _REASONING_PARTS)
    return content if isinstance(content, str) else ""


_REASONING_PARTS = ("thinking", "reasoning", "redacted_thinking", "thought")
"""Types of the parts in which Mistral, Anthropic and relays send reasoning."""


def read_usage(usage: object, *, has_text: bool) -> Usage | str | None:
    """Read the token counts of a reply; `has_text` says that the reply has a visible text.

    Returns the usage, the problem with impossible counts in words, or None where there are no counts.
    Reasoning tokens count as written, also where only `total_tokens` or the details include them.
    """
    if not isinstance(usage, dict):
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    counts: dict[str, int] = {name: usage[name] for name in names if usage.get(name) is not None}
    if not counts.keys() & set(names[:2]):
        return None
    for name, count in counts.items():
        if type(count) is not int or count < 0:
            return f"{name} is {shown(json.dumps(count))}"
    if len(counts.keys() & set(names[:2])) == 1:
        return f"there is only {shown(', '.join(counts))}"
    prompt, stated = counts["prompt_tokens"], counts["completion_tokens"]
    details = usage.get("completion_tokens_details")
    reasoning = details.get("reasoning_tokens") if isinstance(details, dict) else None
    written = max(stated, counts.get("total_tokens", 0) - prompt)
    if type(reasoning) is int and reasoning > stated:
        written = max(written, stated + reasoning)
    found = Usage(
        prompt_tokens=prompt,
        completion_tokens=written,
        cached_tokens=_cached(usage, prompt_tokens=prompt),
    )
    if not found.is_credible or (has_text and not written):
        return f"prompt_tokens is {prompt}, completion_tokens is {written}"
    return found


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
