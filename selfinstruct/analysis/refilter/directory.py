"""Refilter a run directory into a new directory, which is created completely or not at all."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from selfinstruct.analysis.refilter import DECIDING, Refiltered, Source, refilter
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import JournalError, RunDirectoryError
from selfinstruct.files import because, open_regular
from selfinstruct.files.yaml_text import read_yaml
from selfinstruct.journal_events import RefilteredFrom
from selfinstruct.runner.create_from_events import make_run
from selfinstruct.runner.directory import Run, read_history, refiltered_from, require_free
from selfinstruct.runner.manifest import VERSIONS, program_versions
from selfinstruct.runner.run_file_names import CONFIG, JOURNAL


def refilter_run(directory: Path, new: Path, settings: Mapping[str, Any]) -> tuple[Run, Refiltered]:
    """Decide on the replies of the run in `directory` again, and write the result as a new run to `new`.

    `settings` are new values of settings in `DECIDING`. The source is only read; another process may be
    writing to it. Returns the source run and the result. Raises ConfigError, RunDirectoryError or
    JournalError.
    """
    require_free(new)
    source, config, origin = read_source(directory, settings)
    refiltered = refilter(source, config, origin=origin, versions=program_versions())
    make_run(new, replace(source.run, config=config, versions=VERSIONS), refiltered.events)
    return source.run, refiltered


def read_source(
    directory: Path, settings: Mapping[str, Any]
) -> tuple[Source, RunConfig, RefilteredFrom]:
    """Return the run to refilter, the config of the new run, and the first event of its journal."""
    earlier = refiltered_from(directory)
    if earlier is not None:
        raise RunDirectoryError(
            directory, f"is a refiltered run; refilter its source, {earlier.source}"
        )
    source = Source(*read_history(directory))
    if not source.commits and not source.has_replies_about_imports:
        raise RunDirectoryError(directory, "has no decision to make again; continue the run first")
    run = source.run
    origin = RefilteredFrom(
        # A journal can store this text even if the path is not valid UTF-8.
        source=os.fsencode(directory.absolute()).decode(errors="backslashreplace"),
        fingerprint=str(read_yaml(directory / CONFIG, opener=open_regular)["fingerprint"]),
        journal_lines=source.lines,
        journal_sha256=_sha256_of_lines(directory / JOURNAL, source.lines),
        versions=run.versions,
        settings={name: getattr(run.config, name) for name in DECIDING},
    )
    return source, run.config.changed(**settings), origin


def _sha256_of_lines(path: Path, lines: int) -> str:
    """Return the SHA-256 of the first `lines` lines of a journal. Journals only grow, so it never changes."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", opener=open_regular) as file:
            for line in islice(file, lines):
                digest.update(line)
    except OSError as error:
        raise JournalError(path, f"cannot be read {because(error)}") from None
    return digest.hexdigest()
