"""Convert the HTTP client's errors to the errors of `outcomes`, with readable messages and no secrets."""

import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from selfinstruct.errors import BackendError
from selfinstruct.llm.outcome_rules import Action, AttemptOutcome, error_of, from_status
from selfinstruct.llm.redaction import redacted
from selfinstruct.llm.reply import quoted, shortened
from selfinstruct.llm.retry import stated_wait_s

if TYPE_CHECKING:
    import openai


def connection_error(
    error: "openai.APIConnectionError", *, url: str, timeout_s: float, secrets: Sequence[str]
) -> BackendError:
    """Return the error for an attempt that got no complete reply from `url`.

    `timeout_s` is the time limit that the message mentions if the endpoint is silent.
    """
    outcome, cause = _outcome_and_cause(error, secrets)
    check = "check that the server is running and --base-url is right"
    problem = {
        AttemptOutcome.NO_CONNECTION: f"no connection to {url} ({cause}); {check}",
        AttemptOutcome.CONNECT_TIMEOUT: f"connecting to {url} took too long; {check}",
        AttemptOutcome.SILENT: f"no reply within {timeout_s:g} s",
        AttemptOutcome.DROPPED: f"{url} dropped the connection ({cause})",
        AttemptOutcome.CUT: f"{url} dropped the connection in the middle of a reply ({cause})",
    }.get(outcome, cause)
    return error_of(outcome, problem)


def status_error(
    error: "openai.APIStatusError", advice: str = "", *, secrets: Sequence[str] = ()
) -> BackendError:
    """Return the error for a reply with an error status. `advice` tells the user what to do."""
    headers = error.response.headers
    should_retry = headers.get("x-should-retry")
    status = error.status_code
    message = quoted(error.body, secrets) or quoted(error.message, secrets)
    problem = f"{status}: {message}" if message else str(status)
    if status < 400:
        location = quoted(headers.get("location", ""), secrets) or "no address"
        problem = f"{status}: redirect to {location}"
    outcome = from_status(status, code=_code(error.body), should_retry=should_retry)
    if outcome.rule.action is Action.RETRY:
        problem = f"the endpoint answered {problem}"
    elif outcome is AttemptOutcome.REJECTED:
        problem = f"the endpoint refused the request ({problem})"
        problem += f"; {advice}" if advice else ""
    return error_of(
        outcome,
        problem,
        status=status,
        retry_after_s=stated_wait_s(headers, now=datetime.now(UTC)),
        is_last=should_retry == "false",
    )


def _code(body: object) -> str | None:
    """Return the code or type in an error body, or None."""
    members = body if isinstance(body, dict) else {}
    codes = (members.get("code"), members.get("type"))
    return next((code for code in codes if isinstance(code, str)), None)


def _outcome_and_cause(error: Exception, secrets: Sequence[str]) -> tuple[AttemptOutcome, str]:
    """Return the outcome and the cause of an attempt without a reply.

    If a header is invalid, the cause does not repeat it, because it may be a secret.
    """
    import httpx2

    from selfinstruct.llm.bodies import MAX_BYTES, TooLargeError

    causes = list(_causes(error))
    cause = causes[0] if causes else error
    message = shortened(redacted(str(cause), secrets)) or type(cause).__name__
    if any(isinstance(inner, ssl.SSLCertVerificationError) for inner in causes):
        return AttemptOutcome.NO_TRUST, message
    if any(isinstance(inner, TooLargeError) for inner in causes):
        return AttemptOutcome.TOO_LARGE, f"the reply is larger than {MAX_BYTES // 2**20} MiB"
    is_cut = "message body" in message  # CUT and DROPPED differ only in the error's message.
    outcomes = (
        (httpx2.ConnectTimeout | httpx2.PoolTimeout, AttemptOutcome.CONNECT_TIMEOUT),
        (httpx2.TimeoutException, AttemptOutcome.SILENT),
        (httpx2.RemoteProtocolError, AttemptOutcome.CUT if is_cut else AttemptOutcome.DROPPED),
        (httpx2.ReadError | httpx2.WriteError | httpx2.CloseError, AttemptOutcome.DROPPED),
        (httpx2.NetworkError | httpx2.ProxyError, AttemptOutcome.NO_CONNECTION),
    )
    for kinds, outcome in outcomes:
        if isinstance(cause, kinds):
            return outcome, message
    if isinstance(cause, httpx2.DecodingError):
        return AttemptOutcome.NOT_JSON, "the reply cannot be decompressed"
    if isinstance(cause, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | ValueError):
        return AttemptOutcome.UNSENDABLE, type(cause).__name__
    # The request may have been sent, so it may be billed.
    return AttemptOutcome.DROPPED, type(cause).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    inner = error.__cause__ or error.__context__
    while inner is not None:
        yield inner
        inner = inner.__cause__ or inner.__context__
