"""What it means that an exchange failed: with a reply that says no, or with none. Sends nothing.

The client's errors → those of `outcomes`, in words for a person, without secrets.
"""

import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from selfinstruct.errors import BackendError
from selfinstruct.llm.outcomes import Seen, error_of, from_status
from selfinstruct.llm.redaction import redacted
from selfinstruct.llm.reply import quoted, shown
from selfinstruct.llm.retry import stated_wait_s

if TYPE_CHECKING:
    import openai


def untold(
    error: "openai.APIConnectionError", *, where: str, timeout_s: float, secrets: Sequence[str]
) -> BackendError:
    """What it means that there is no reply from `where`, the endpoint's address, within so many seconds."""
    seen, why = _cause(error, secrets)
    problem = {
        Seen.NO_CONNECTION: f"no connection to {where} ({why}); does the server run, and is --base-url "
        "right?",
        Seen.CONNECT_TIMEOUT: f"no connection to {where} in time; does the server run, and is "
        "--base-url right?",
        Seen.SILENT: f"no reply within {timeout_s:g} s",
        Seen.DROPPED: f"{where} dropped the connection ({why})",
        Seen.CUT: f"{where} dropped the connection in the middle of a reply ({why})",
    }.get(seen, why)
    return error_of(seen, problem)


def told_by(
    error: "openai.APIStatusError", advice: str = "", *, secrets: Sequence[str] = ()
) -> BackendError:
    """What a reply with an error status means, and what can be done about it."""
    headers = error.response.headers
    should_retry = headers.get("x-should-retry")
    status = error.status_code
    message = quoted(error.body, secrets) or quoted(error.message, secrets)
    problem = f"{status}: {message}" if message else str(status)
    if status < 400:
        where = quoted(headers.get("location", ""), secrets) or "nowhere"
        problem = f"{status}: it redirects to {where}"
    seen = from_status(status, code=_code(error.body), should_retry=should_retry)
    if seen in (Seen.BUSY, Seen.GATEWAY_TIMEOUT, Seen.RATE_LIMITED):
        problem = f"the endpoint answered {problem}"
    elif seen is Seen.REJECTED:
        problem = f"the endpoint refuses the request ({problem})" + (
            f"; {advice}" if advice else ""
        )
    return error_of(
        seen,
        problem,
        status=status,
        retry_after_s=stated_wait_s(headers, now=datetime.now(UTC)),
        is_last=should_retry == "false",
    )


def _code(body: object) -> str | None:
    """The name of an error, where it has one."""
    members = body if isinstance(body, dict) else {}
    named = (members.get("code"), members.get("type"))
    return next((name for name in named if isinstance(name, str)), None)


def _cause(error: Exception, secrets: Sequence[str] = ()) -> tuple[Seen, str]:
    """Why there is no reply, and in which words; a header that cannot be sent is not repeated."""
    import httpx2

    from selfinstruct.llm.bodies import MOST_BYTES, TooLargeError

    causes = list(_causes(error))
    cause = causes[0] if causes else error
    said = shown(redacted(str(cause), secrets)) or type(cause).__name__
    if any(isinstance(inner, ssl.SSLCertVerificationError) for inner in causes):
        return Seen.NO_TRUST, said
    if any(isinstance(inner, TooLargeError) for inner in causes):
        return Seen.TOO_LARGE, f"a reply larger than {MOST_BYTES // 2**20} MiB"
    if isinstance(cause, httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Seen.CONNECT_TIMEOUT, said
    if isinstance(cause, httpx2.TimeoutException):
        return Seen.SILENT, said
    if isinstance(cause, httpx2.RemoteProtocolError):
        # The one has no other name than its words.
        return (Seen.CUT if "message body" in said else Seen.DROPPED), said
    if isinstance(cause, httpx2.ReadError | httpx2.WriteError | httpx2.CloseError):
        return Seen.DROPPED, said
    if isinstance(cause, httpx2.NetworkError | httpx2.ProxyError):
        return Seen.NO_CONNECTION, said
    if isinstance(cause, httpx2.DecodingError):
        return Seen.NOT_JSON, "a reply that cannot be decompressed"
    if isinstance(cause, httpx2.TooManyRedirects):
        return Seen.UNKNOWN, said
    if isinstance(cause, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | ValueError):
        return Seen.UNSENDABLE, type(cause).__name__
    return Seen.DROPPED, type(cause).__name__  # it may have been sent, and may be billed


def _causes(error: BaseException) -> Iterator[BaseException]:
    inner = error.__cause__ or error.__context__
    while inner is not None:
        yield inner
        inner = inner.__cause__ or inner.__context__
