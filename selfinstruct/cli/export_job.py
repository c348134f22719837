"""What `selfinstruct export` does: rows from a run or a file, through the selection, into files."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from selfinstruct.cli.benchmark_files import Benchmarks, Rules
from selfinstruct.cli.export_card import CARD, CardWanted, card_of, check_card, is_our_card
from selfinstruct.cli.export_sources import Chosen, source_of
from selfinstruct.cli.progress_bar import bar
from selfinstruct.cli.signals import Hold
from selfinstruct.dataset.decontamination import texts_of
from selfinstruct.dataset.export import COLUMN_TYPES, FORMATS, PUBLISHED, Part, Row, Wanted, writing
from selfinstruct.dataset.export.trainer_configs import (
    DATASET_INFO,
    axolotl_stanza,
    check_llama_factory,
    dataset_info,
    stanza_path,
)
from selfinstruct.errors import ConfigError, ExportError, InputError
from selfinstruct.files import because, is_stream
from selfinstruct.text import counted

SIMILARITIES = ("most_similar_instructions", "avg_similarity_score")
"""The fields that `--similarities` adds."""

_AT_ONCE = 500
"""Rows that are compared with benchmarks together: fast, and still little memory."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for."""

    source: str
    output: Path
    wanted: Wanted
    chosen: Chosen = Chosen()
    benchmarks: Sequence[str] = ()
    llama_factory: bool = False
    axolotl: bool = False
    card: CardWanted | None = None
    quiet: bool = False


@dataclass(kw_only=True)
class Tally:
    """What came of it."""

    format: str
    container: str = ""
    parts: list[Part] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    """Files that were written besides."""
    left_out: int = 0
    """Rows that hold what a benchmark asks."""
    remarks: list[str] = field(default_factory=list)
    """What a person should know about the source."""
    benchmarks: Benchmarks | None = None
    missing: Sequence[str] = ()
    """What a person must still add to the card."""

    @property
    def rows(self) -> int:
        """Rows written."""
        return sum(part.rows for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "format": self.format,
            "container": self.container,
            "rows": self.rows,
            "files": [
                {
                    "path": str(part.path),
                    "part": part.name,
                    "rows": part.rows,
                    "instructions": part.instructions,
                }
                for part in self.parts
            ],
            "beside": [str(path) for path in self.beside],
            "left_out": self.left_out,
            "benchmarks": self.benchmarks.as_json() if self.benchmarks is not None else [],
            "missing_in_card": [*self.missing],
            "remarks": self.remarks,
        }

    def lines(self, job: Job) -> list[str]:
        """For a person."""
        told = []
        if self.benchmarks is not None:
            told += [*self.benchmarks.table(Rules().ngram), ""]
            told.append(f"left out, since they hold what a benchmark asks: {self.left_out:,} rows")
        is_folder = self.container == "datasets"
        for part in self.parts:
            place = "stdout" if str(job.output) == "-" else str(part.path)
            if is_folder and len(self.parts) > 1:
                place = f"{place} ({part.name})"
            size = counted(part.rows, "row")
            if len(self.parts) > 1:
                size += f" of {counted(part.instructions, 'instruction')}"
            told.append(f"wrote {size} to {place}")
        told += [f"wrote {path}" for path in self.beside]
        if empty := sum(part.without_output for part in self.parts):
            told.append(
                f"{counted(empty, 'row')} of them have an empty output, which teaches a model to say nothing"
            )
        told += [f"the card lacks {missing}" for missing in self.missing]
        return told + self.remarks


def carry_out(job: Job, hold: Hold = lambda: None) -> Tally:
    """Read, select, write. Raises SelfInstructError; then no file has changed."""
    tally = Tally(format=job.wanted.format)
    if job.chosen.similarities and FORMATS[job.wanted.format].shape not in ("alpaca", "all"):
        problem = (
            f"have no place in the format {job.wanted.format}; use alpaca, jsonl, csv or parquet"
        )
        raise ConfigError("similarities", problem)
    _check_places(job)
    with bar(quiet=job.quiet) as show, source_of(job.source, job.chosen) as source:
        if job.card is not None and source.run is None:
            problem = (
                f"tells how a run made its data, and {job.source} is a list of records; selfinstruct import "
                "makes a run of it"
            )
            raise ConfigError("card", problem)
        types = COLUMN_TYPES if source.run is not None else {}
        with writing(job.output, job.wanted, types=types, hold=hold) as export:
            tally.container = export.container
            rows = source.rows(show)
            if job.benchmarks:
                tally.benchmarks = Benchmarks(job.benchmarks, Rules(), show)
                rows = _some(_without(rows, tally, tally.benchmarks), job)
            tally.parts = export.write(rows)
            beside = _for_trainers(job, tally)
            if job.card is not None and source.run is not None:
                check_card(job.output)  # again: somebody may have edited it meanwhile
                left_out = tally.benchmarks.left_out() if tally.benchmarks is not None else None
                path, made = card_of(
                    source.run, export, tally.parts, job.card, job.output, left_out=left_out
                )
                beside[path] = made.text.encode()
                tally.missing = made.missing
            for path, data in beside.items():
                export.add(path, data)
                tally.beside.append(path)
        tally.remarks = [*source.remarks(), *_of_earlier_exports(job, tally)]
        if export.first and str(export.first[0].get("prompt", "."))[-1:].isalnum():
            end = export.first[0]["prompt"].rpartition("\n")[2][-20:]
            tally.remarks.append(
                f"prompts end in {end!r}, and completions follow at once; another line end at the end of the "
                "template keeps them apart"
            )
    return tally


def _of_earlier_exports(job: Job, tally: Tally) -> list[str]:
    """What stands beside the data and is not of this export, though readers will take it for a part of it."""
    if str(job.output) == "-" or is_stream(job.output):
        return []
    told = []
    if job.card is None and is_our_card(job.output):
        place = job.output.parent / CARD
        told.append(f"{place} tells of an earlier export; --card writes it anew")
    written = {part.path for part in tally.parts}
    for shares in ((), (0.5, 0.5), (0.4, 0.3, 0.3)):
        for _, path in replace(job.wanted, split=shares).names(job.output):
            if path not in written and path.exists():
                written.add(path)
                told.append(f"{path} is of an earlier export and no part of this one; remove it")
    return told


def _check_places(job: Job) -> None:
    """Raises ConfigError, InputError where a file has no place, or somebody's file would be lost."""
    places = [*dict.fromkeys(path for _, path in job.wanted.names(job.output))]
    if job.llama_factory:
        check_llama_factory(job.output, job.wanted)
        places.append(job.output.parent / DATASET_INFO)
    if job.axolotl:
        places.append(stanza_path(job.output))
    if job.card is not None:
        check_card(job.output)
        places.append(job.output.parent / CARD)
    if str(job.output) == "-":
        return
    try:
        _check_collisions(job, places)
    except OSError as error:  # the working directory is gone, say
        raise ExportError(job.output, f"cannot be written {because(error)}") from None


def _check_collisions(job: Job, places: Sequence[Path]) -> None:
    if len(places) > 1 and is_stream(job.output):
        problem = "is a pipe or a device, beside which nothing can be written; name a file"
        raise InputError(job.output, problem)
    source = os.path.realpath(job.source)
    kept = {os.path.realpath(name) for name in job.benchmarks}
    if job.wanted.template is not None:
        kept.add(os.path.realpath(job.wanted.template))
    taken = set()
    for path in places:
        real = os.path.realpath(path)
        if real in taken:
            problem = "would be written twice, with different things; choose another name with -o"
            raise InputError(path, problem)
        # The list itself may be replaced by what is made of it.
        if real in kept or (real == source and path != job.output):
            raise InputError(path, "is read and not replaced; choose another name with -o")
        taken.add(real)


def _for_trainers(job: Job, tally: Tally) -> dict[Path, bytes]:
    """What tells them of the export, by its place."""
    files = {}
    if job.llama_factory:
        info = dataset_info(job.output, job.wanted, tally.parts)
        files[job.output.parent / DATASET_INFO] = info
    if job.axolotl:
        stanza = axolotl_stanza(job.wanted, tally.container, tally.parts)
        files[stanza_path(job.output)] = stanza
    return files


def _without(rows: Iterator[Row], tally: Tally, benchmarks: Benchmarks) -> Iterator[Row]:
    """The rows that hold nothing that a benchmark asks."""
    while some := [*islice(rows, _AT_ONCE)]:
        texts = [[*texts_of({name: row[name] for name in PUBLISHED})] for row in some]
        for row, hits in zip(some, benchmarks.index.check(texts), strict=True):
            benchmarks.count(hits)
            if hits:
                tally.left_out += 1
            else:
                yield row


def _some(rows: Iterator[Row], job: Job) -> Iterator[Row]:
    """The rows, of which there must be one. Raises InputError."""
    first = next(rows, None)
    if first is None:
        problem = "has no row left that no benchmark asks, so nothing was written"
        raise InputError(job.source, problem)
    return chain([first], rows)
