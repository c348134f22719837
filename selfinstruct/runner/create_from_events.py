"""Creates a run directory when all events are known in advance: to import files, or to refilter a run.

The journal is written first and config.yaml last. A directory is a run only if it contains config.yaml. If an
attempt is interrupted, the journal's first event (`refiltered_from` or `imported_file`) identifies what it
left behind, and the next attempt replaces it.
"""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from selfinstruct.journal_events import Event
from selfinstruct.runner.directory import require_free
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.lock import locked
from selfinstruct.runner.manifest import Manifest, write_manifest
from selfinstruct.runner.run_events import run_events
from selfinstruct.runner.run_file_names import JOURNAL, system_error

_EVENTS_PER_WRITE = 1000


def make_run(directory: Path, manifest: Manifest, events: Iterable[Event]) -> None:
    """Write a run into a directory that is missing, empty, or left behind by an interrupted attempt.

    Raises RunDirectoryError, RunLockedError or JournalError; in each case, the directory is not a run.
    """
    require_free(directory)
    with locked(directory):
        # Check again, because another process may have created a run in the meantime.
        require_free(directory)
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
