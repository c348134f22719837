"""All selfinstruct exceptions and their exit codes.

    SelfInstructError                    exit
    ├── ConfigError                      2    a setting has an invalid value
    ├── InputError                       2    an input file cannot be used
    ├── PathError                        1    a file or directory cannot be read or written
    │   ├── RunDirectoryError            2    the directory cannot be used as a run
    │   │   ├── ConfigChangedError       2    the run was made with other settings
    │   │   ├── OtherVersionError        2    the run was made by another version
    │   │   ├── RunLockedError           2    another process is writing to the run
    │   │   └── RunWriteError            1    writing the run failed, for example on a full disk
    │   ├── JournalError                 1    the journal cannot be read or written
    │   │   ├── JournalCorruptError      1    a line was changed after it was written
    │   │   └── NewerJournalError        2    a later version wrote the journal
    │   └── ExportError                  1    an exported file cannot be written
    ├── BackendError                          a request did not get a completion
    │   ├── TransientError               4    another attempt may succeed
    │   ├── RequestRejectedError         4    the endpoint rejects this request
    │   └── EndpointError                4    the endpoint rejects every request: key, credit, model
    ├── StalledError                     3    many requests in a row yielded no new instruction
    └── LimitReachedError                3    a limit was reached: cost, tokens, requests or time

A reply that cannot be parsed, a duplicate, a model's refusal and a truncated answer raise no exception. Each
is recorded as a `Rejection` with a reason.

On an error, the command line exits with the exception's `exit_code`. All exit codes: 0 done, 1 failed,
2 wrong usage or input, 3 stopped by a limit, 4 gave up on the endpoint, 130 interrupted.
"""

from collections.abc import Mapping
from pathlib import Path


class SelfInstructError(Exception):
    """Base class of all selfinstruct exceptions. The message is one sentence for the user."""

    exit_code = 1


class ConfigError(SelfInstructError):
    """A setting has an invalid value."""

    exit_code = 2

    def __init__(self, setting: str, problem: str, *, source: str = "") -> None:
        self.setting = setting
        self.problem = problem
        self.source = source
        place = f"{source}: " if source else ""
        super().__init__(f"{place}{setting}: {problem}")


class InputError(SelfInstructError):
    """An input file cannot be used."""

    exit_code = 2

    def __init__(self, path: Path | str, problem: str, *, line: int | None = None) -> None:
        self.path = Path(path)
        self.line = line
        self.problem = problem
        place = f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{place}: {problem}")


class PathError(SelfInstructError):
    """A file or directory cannot be read or written."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"{path}: {problem}")


class RunDirectoryError(PathError):
    """The directory is not a run that can be continued or read."""

    exit_code = 2


class ConfigChangedError(RunDirectoryError):
    """The run was made with other settings; `changes` maps each setting's name to (stored, given) values."""

    def __init__(self, path: Path, changes: Mapping[str, tuple[object, object]]) -> None:
        self.changes = dict(changes)
        listed = "; ".join(
            f"{name} is {stored!r} in the run, but {given!r} was given"
            for name, (stored, given) in self.changes.items()
        )
        super().__init__(
            path,
            f"this run was made with other settings ({listed}). "
            "Leave these settings out to continue the run, or choose another directory for a new run.",
        )


class OtherVersionError(RunDirectoryError):
    """Another version of selfinstruct made the run.

    `versions` maps the name of each component that differs to its versions in the run and in this program.
    """

    def __init__(
        self,
        path: Path,
        versions: Mapping[str, tuple[int | None, int | None]],
        *,
        remedy: str,
    ) -> None:
        self.versions = dict(versions)
        listed = "; ".join(
            f"{name} {there or 'none'}, here {here or 'none'}"
            for name, (there, here) in self.versions.items()
        )
        is_later = any((there or 0) > (here or 0) for there, here in self.versions.values())
        age = "a later" if is_later else "an earlier"
        super().__init__(path, f"made by {age} version of selfinstruct ({listed}); {remedy}")


class RunLockedError(RunDirectoryError):
    """Another process holds the run's lock. `pid` is None if that process is unknown."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.pid = pid
        writer = f"process {pid}" if pid is not None else "another process"
        super().__init__(path, f"{writer} is writing to this run; wait for it or stop it first")


class RunWriteError(RunDirectoryError):
    """Writing the run failed, for example on a full disk. The run directory itself is valid."""

    exit_code = 1


class JournalError(PathError):
    """The journal cannot be read or written."""


class JournalCorruptError(JournalError):
    """A line of the journal was changed after it was written. The file is left as it is.

    `line` is the line's number, counting from 1. `offset` is the position of its first byte.
    """

    def __init__(self, path: Path, *, line: int, offset: int, problem: str) -> None:
        self.line = line
        self.offset = offset
        super().__init__(
            path,
            f"line {line} (byte {offset}) {problem}; nothing was changed. "
            "Restore the file from a copy, or delete that line and everything after it.",
        )


class NewerJournalError(JournalError):
    """A journal line has an event that this version does not know; a later version probably wrote it.

    The file is left unchanged.
    """

    exit_code = 2


class BackendError(SelfInstructError):
    """A request did not get a completion after `attempts` attempts.

    `may_bill` says whether the last attempt may be billed: the endpoint may have written a reply.
    """

    exit_code = 4
    may_bill = True

    def __init__(self, problem: str, *, attempts: int = 1) -> None:
        self.problem = problem
        self.attempts = attempts
        super().__init__(problem)

    def reword(self, problem: str) -> None:
        """Replace the message, for example with the same text without a secret."""
        self.problem = problem
        self.args = (problem,)


class TransientError(BackendError):
    """Another attempt may succeed.

    `outcome` is the name of an `llm.outcomes.AttemptOutcome`, or "". `retry_after_s` is the number of seconds
    that the endpoint asks the client to wait. `is_last` says whether the endpoint asks the client not to
    retry now. `counts_as_strike` says whether the request itself, and not only the endpoint, may be at fault.
    """

    def __init__(
        self,
        problem: str,
        *,
        attempts: int = 1,
        outcome: str = "",
        retry_after_s: float | None = None,
        is_last: bool = False,
        counts_as_strike: bool = True,
    ) -> None:
        self.counts_as_strike = counts_as_strike
        self.outcome = outcome
        self.retry_after_s = retry_after_s
        self.is_last = is_last
        super().__init__(problem, attempts=attempts)


class RequestRejectedError(BackendError):
    """The endpoint rejects this request and would reject it again. `status` is the HTTP status."""

    may_bill = False

    def __init__(self, problem: str, *, status: int | None, attempts: int = 1) -> None:
        self.status = status
        super().__init__(problem, attempts=attempts)


class EndpointError(BackendError):
    """The endpoint rejects every request: wrong key, no credit, unknown model or wrong setup."""

    may_bill = False


class StalledError(SelfInstructError):
    """The last `commits` generation requests yielded no new instruction."""

    exit_code = 3

    def __init__(self, commits: int) -> None:
        self.commits = commits
        super().__init__(
            f"none of the last {commits} generation requests yielded a new instruction; look at the "
            "rejections with `selfinstruct status`, or continue with --set stall_after=… (a larger number)"
        )


class LimitReachedError(SelfInstructError):
    """The run reached one of its limits. `limit` is the name of the setting."""

    exit_code = 3

    def __init__(self, limit: str, problem: str) -> None:
        self.limit = limit
        super().__init__(problem)


class ExportError(PathError):
    """An exported file cannot be written."""
