"""A run directory that is made at once, of events that are all there: made whole or not at all.

The journal is written first and config.yaml last. Without that one, a directory is no run to anybody; what a
broken-off attempt leaves is known by the first line of its journal (`refiltered_from`, `imported_file`), and
the next attempt writes it anew.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from selfinstruct.events import Event
from selfinstruct.runner.directory import require_free
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.lock import locked
from selfinstruct.runner.manifest import Manifest, refused_by_the_system, write_manifest
from selfinstruct.runner.run_files import JOURNAL

_AT_A_TIME = 1000
"""Events that are written at a time."""


def make_run(directory: Path, manifest: Manifest, events: Iterable[Event]) -> None:
    """Write a run into a directory that is new, empty, or left over from such an attempt.

    Raises RunDirectoryError, RunLockedError, JournalError; then the directory is no run.
    """
    require_free(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused_by_the_system(directory, "made", error) from None
    with ExitStack() as held:
        try:
            held.enter_context(locked(directory))
            require_free(directory)  # another process may have been here
            (directory / JOURNAL).unlink(missing_ok=True)
        except OSError as error:
            raise refused_by_the_system(directory, "written", error) from None
        with Journal(directory / JOURNAL) as journal:
            for _ in journal.replay():
                pass
            following = iter(events)
            while some := list(islice(following, _AT_A_TIME)):
                journal.append(*some, durable=False)
            journal.sync()
        write_manifest(directory, manifest)
