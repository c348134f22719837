"""Exports a run or a file of records, and writes the files next to the data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from selfinstruct.dataset.decontamination.benchmarks import Benchmarks, Rules
from selfinstruct.dataset.decontamination.field_texts import texts_of
from selfinstruct.dataset.export.beside import (
    CARD,
    DATASET_INFO,
    CardRequest,
    axolotl_stanza,
    card_for,
    check_card,
    check_llama_factory,
    dataset_info,
    has_unedited_card,
    stanza_path,
)
from selfinstruct.dataset.export.formats import FORMATS, ExportOptions
from selfinstruct.dataset.export.rows import COLUMN_TYPES, PUBLISHED, Row
from selfinstruct.dataset.export.sources import RowSelection, source_of
from selfinstruct.dataset.export.writing import Part, writing
from selfinstruct.dataset.file_jobs import Hold, Progress, no_hold, no_progress, refuse_collisions
from selfinstruct.errors import ConfigError, ExportError, InputError
from selfinstruct.files import because, is_stream

SIMILARITIES = ("most_similar_instructions", "avg_similarity_score")
"""The columns that are added if `RowSelection.similarities` is true."""

BATCH = 500
"""Number of rows that are compared with benchmarks in one call, for speed."""


@dataclass(frozen=True, kw_only=True)
class ExportFiles:
    """The source and all output files of one export."""

    source: str
    """The run directory or the file of records to export; "-" is stdin."""
    output: Path
    """The file or directory to write; "-" is stdout."""
    options: ExportOptions
    benchmarks: Sequence[str] = ()
    """Benchmark files. Rows that contain a benchmark item are left out."""
    llama_factory: bool = False
    """Whether to add the output to LLaMA-Factory's dataset_info.json."""
    axolotl: bool = False
    """Whether to write a stanza for axolotl's configuration."""
    card: CardRequest | None = None
    """The request for a dataset card; None for no card."""

    def check(self) -> None:
        """Raise an error if a file cannot be written or would replace another file.

        The error is a ConfigError, an InputError or an ExportError.
        """
        names = self.options.names(self.output)
        places = [path for _, path in names if path != self.output]
        has_card = self.card is not None
        beside = {"llama_factory": self.llama_factory, "axolotl": self.axolotl, "card": has_card}
        if str(self.output) == "-":
            for setting, is_given in beside.items():
                if is_given:
                    raise ConfigError(setting, "needs a file name, not -; give one with -o")
            return
        if self.llama_factory:
            check_llama_factory(self.output, self.options)
            places.append(self.output.parent / DATASET_INFO)
        if self.axolotl:
            places.append(stanza_path(self.output))
        if has_card:
            check_card(self.output)
            places.append(self.output.parent / CARD)
        try:
            self._check_collisions(places)
        except OSError as error:  # such as a deleted working directory
            raise ExportError(self.output, f"cannot be written {because(error)}") from None

    def _check_collisions(self, places: Sequence[Path]) -> None:
        if places and is_stream(self.output):
            problem = "is a pipe or a device, which has room for one file only; name a file"
            raise InputError(self.output, problem)
        template = self.options.template
        refuse_collisions(
            self.output,
            places,
            inputs=[self.source],
            read=[*self.benchmarks, *([str(template)] if template is not None else [])],
        )

    def trainer_files(self, container: str, parts: Sequence[Part]) -> dict[Path, bytes]:
        """Return the content of the trainers' configuration files, by path."""
        files = {}
        if self.llama_factory:
            info = dataset_info(self.output, self.options, parts)
            files[self.output.parent / DATASET_INFO] = info
        if self.axolotl:
            stanza = axolotl_stanza(self.options, container, parts)
            files[stanza_path(self.output)] = stanza
        return files

    def remarks_on_earlier(self, parts: Sequence[Part]) -> list[str]:
        """Return remarks about earlier exports' files that could be mistaken for parts of this export."""
        if str(self.output) == "-" or is_stream(self.output):
            return []
        remarks = []
        if self.card is None and has_unedited_card(self.output):
            place = self.output.parent / CARD
            remarks.append(f"{place} describes an earlier export; replace it with --card")
        written = {part.path for part in parts}
        for shares in ((), (0.5, 0.5), (0.4, 0.3, 0.3)):
            for _, path in replace(self.options, split=shares).names(self.output):
                if path not in written and path.exists():
                    written.add(path)
                    remarks.append(
                        f"{path} is from an earlier export and not part of this one; remove it"
                    )
        return remarks


@dataclass(kw_only=True)
class ExportSummary:
    """The result of one call of `export_files`."""

    format: str
    container: str = ""
    parts: list[Part] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    """Paths of the additional files that were written next to the data."""
    remarks: list[str] = field(default_factory=list)
    """Remarks for the user about the source and the output."""
    benchmarks: Benchmarks | None = None
    missing: Sequence[str] = ()
    """A sentence for each piece of information that the card lacks."""

    @property
    def left_out(self) -> int:
        """Number of rows that were left out because they contain a benchmark item."""
        return self.benchmarks.dropped.total() if self.benchmarks is not None else 0

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "format": self.format,
            "container": self.container,
            "rows": sum(part.rows for part in self.parts),
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


def export_files(
    files: ExportFiles,
    *,
    selection: RowSelection | None = None,
    progress: Progress = no_progress,
    hold: Hold = no_hold,
) -> ExportSummary:
    """Write an export and the files next to it. Raises SelfInstructError; then no file has changed."""
    options, selection = files.options, selection or RowSelection()
    summary = ExportSummary(format=options.format)
    if selection.similarities and FORMATS[options.format].shape not in ("alpaca", "all"):
        problem = f"do not fit the format {options.format}; use alpaca, jsonl, csv or parquet"
        raise ConfigError("similarities", problem)
    files.check()
    with source_of(files.source, selection) as source:
        if files.card is not None and source.run is None:
            problem = (
                f"describes how a run made its data, but {files.source} is a list of records; make a run of "
                "the list with selfinstruct import"
            )
            raise ConfigError("card", problem)
        types = COLUMN_TYPES if source.run is not None else {}
        with writing(files.output, options, types=types, hold=hold) as export:
            summary.container = export.container
            rows = source.rows(progress)
            if files.benchmarks:
                summary.benchmarks = Benchmarks(files.benchmarks, Rules(), progress)
                rows = _without_hits(rows, summary.benchmarks, files.source)
            summary.parts = export.write(rows)
            beside: Mapping[Path, bytes] = files.trainer_files(export.container, summary.parts)
            if files.card is not None and source.run is not None:
                check_card(files.output)  # again, because the card may have been edited meanwhile
                hits = summary.benchmarks.records_hit() if summary.benchmarks is not None else None
                card = card_for(source.run, export, summary.parts, files.card, left_out=hits)
                beside = {**beside, files.output.parent / CARD: card.text.encode()}
                summary.missing = card.missing
            for path, data in beside.items():
                export.add(path, data)
            summary.beside = [*beside]
        summary.remarks = [*source.remarks(), *files.remarks_on_earlier(summary.parts)]
        summary.remarks += _remarks_on_prompts(export.first)
    return summary


def _remarks_on_prompts(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a remark if the first prompt ends in a letter or digit, which the completion would continue."""
    if rows and str(rows[0].get("prompt", "."))[-1:].isalnum():
        end = rows[0]["prompt"].rpartition("\n")[2][-20:]
        yield (
            f"prompts end in {end!r} and completions follow immediately; to separate them, end the "
            "template with another line end"
        )


def _without_hits(rows: Iterator[Row], benchmarks: Benchmarks, source: str) -> Iterator[Row]:
    """Yield the rows that contain no benchmark item. Raises InputError at the end if there were none."""
    has_rows = False
    while batch := [*islice(rows, BATCH)]:
        texts = [[*texts_of({name: row[name] for name in PUBLISHED})] for row in batch]
        for row, hits in zip(batch, benchmarks.index.check(texts), strict=True):
            benchmarks.count(hits)
            if not hits:
                has_rows = True
                yield row
    if not has_rows:
        problem = "has only rows that contain what a benchmark asks, so nothing was written"
        raise InputError(source, problem)
