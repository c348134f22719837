"""The files of a run directory, and the check that no other file replaces one of them.

my-run/
├── config.yaml        settings, hashes, versions and fingerprint
├── prompts/           the templates of the run
├── seed_tasks.jsonl   the seed tasks of the run
├── journal.jsonl      every event of the run, in order
├── journal.jsonl.torn incomplete last lines that were removed from the journal
├── run.lock           process id of the writer
└── exports/           datasets
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
"""Every file of a run, except the templates in the folder `prompts`."""
NAMES = FILES | {PROMPTS, EXPORTS}
"""Every name in a run directory."""

_TYPICAL = (CONFIG, JOURNAL, LOCK)
"""A folder with two of these files is a run; a config.yaml alone may belong to another program."""


def system_error(
    directory: Path, action: str, error: OSError, *, name: str = ""
) -> RunDirectoryError:
    """Return the error for an operation that the system refused on a run directory.

    `action` is a participle, such as "read"; `name` names the file if one caused the error. A RunWriteError
    says that the machine failed, not the user.
    """
    kind = RunWriteError if is_of_the_machine(error) else RunDirectoryError
    return kind(directory, f"{name} cannot be {action} {because(error)}".lstrip())


def owning_run(path: Path, *, run: Path | None = None) -> Path | None:
    """Return the run directory that would be damaged if this file were written, else None.

    Links are followed. Files are compared by device and inode, so a hard link is detected too. `run` is a
    directory to check in addition to the folders of the path. Case is ignored, as on some file systems.
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
