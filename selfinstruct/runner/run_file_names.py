"""The files in a run directory, and a check that prevents other commands from overwriting them.

my-run/
├── config.yaml        settings, hashes, versions and fingerprint
├── prompts/           the run's prompt templates
├── seed_tasks.jsonl   the run's seed tasks
├── journal.jsonl      all of the run's events, in order
├── journal.jsonl.torn incomplete last lines that were removed from the journal
├── run.lock           the id of the process that writes to the run
└── exports/           exported datasets
"""

import os
from contextlib import suppress
from pathlib import Path

from selfinstruct.errors import RunDirectoryError, RunWriteError
from selfinstruct.files import because, is_of_the_machine

CONFIG = "config.yaml"
JOURNAL = "journal.jsonl"
TORN = f"{JOURNAL}.torn"
SEEDS = "seed_tasks.jsonl"
LOCK = "run.lock"
PROMPTS = "prompts"
EXPORTS = "exports"

WRITTEN_IN_PLACE = frozenset({JOURNAL, TORN, LOCK})
FILES = WRITTEN_IN_PLACE | {CONFIG, SEEDS}
"""All of a run's files, except the templates in the directory `prompts`."""
NAMES = FILES | {PROMPTS, EXPORTS}
"""The names of all files and subdirectories in a run directory."""

_TYPICAL = (CONFIG, JOURNAL, LOCK)
"""A directory with two or more of these files is a run. A config.yaml alone may be another program's."""


def system_error(
    directory: Path, action: str, error: OSError, *, name: str = ""
) -> RunDirectoryError:
    """Return the exception to raise if an operation on a run directory failed with `error`.

    `action` is a past participle, such as "read". `name` is the name of the file that caused the error, if
    any. If the cause is the machine and not the user, such as a full disk, the exception is a RunWriteError.
    """
    kind = RunWriteError if is_of_the_machine(error) else RunDirectoryError
    return kind(directory, f"{name} cannot be {action} {because(error)}".lstrip())


def owning_run(path: Path, *, run: Path | None = None) -> Path | None:
    """Return the run directory that writing to this path would damage, or None.

    Links are followed. Files are compared by device and inode, so hard links are detected too. `run` is a
    directory to check in addition to the path's parent directories. Case is ignored, because some file
    systems ignore it.
    """
    real = Path(os.path.realpath(path))
    for folder in (real.parent, real.parent.parent, *([run] if run is not None else [])):
        is_run = sum((folder / name).exists() for name in _TYPICAL) > 1
        if is_run and _is_part(real, Path(os.path.realpath(folder))):
            return folder
    return None


def _is_part(path: Path, run: Path) -> bool:
    if path.is_relative_to(run):
        first, *rest = path.relative_to(run).parts
        if first.casefold() in ({PROMPTS} if rest else FILES):
            return True
    identity = _identity(path)
    files = (*(run / name for name in FILES), *(run / PROMPTS).glob("*"))
    return identity is not None and identity in map(_identity, files)


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None
