"""Create a run directory from events that are all known: an import, or a run that is decided again.

The journal is written first and config.yaml last, and only config.yaml makes a directory a run. The first
event (`refiltered_from`, `imported_file`) identifies the rest of an interrupted attempt, and the next attempt
replaces it.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from selfinstruct.events import Event
from selfinstruct.runner.directory import require_free
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.lock import locked
from selfinstruct.runner.manifest import Manifest, write_manifest
from selfinstruct.runner.run_events import run_events
from selfinstruct.runner.run_files import JOURNAL, system_error

_EVENTS_PER_WRITE = 1000


def make_run(directory: Path, manifest: Manifest, events: Iterable[Event]) -> None:
    """Write a run into a directory that is missing, empty, or left by an interrupted attempt.

    Raises RunDirectoryError, RunLockedError, JournalError and leaves no run then.
    """
    require_free(directory)
    with locked(directory):
        require_free(directory)  # another process may have used it
        try:
            (directory / JOURNAL).unlink(missing_ok=True)
        except OSError as error:
            raise system_error(directory, "written", error) from None
        with Journal(directory / JOURNAL, run_events) as journal:
            for _ in journal.replay():
                pass
            remaining = iter(events)
            while batch := list(islice(remaining, _EVENTS_PER_WRITE)):
                journal.append(*batch, durable=False)
            journal.sync()
        write_manifest(directory, manifest)
