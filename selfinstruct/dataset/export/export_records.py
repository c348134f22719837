"""Exports a run or a file of records, and writes additional files such as a dataset card."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from selfinstruct.dataset.callbacks import Hold, Progress, no_hold, no_progress
from selfinstruct.dataset.decontamination.benchmark_files import Benchmarks, Rules
from selfinstruct.dataset.export.companion_files import CARD, card_for, check_card
from selfinstruct.dataset.export.job import ExportJob
from selfinstruct.dataset.export.writing import Export, Part, writing
from selfinstruct.dataset.file_jobs import Names, listed
from selfinstruct.dataset.row_filters import FilteredRows, RowFilter, at_most_each
from selfinstruct.dataset.rows import COLUMN_TYPES, Row, with_similarities
from selfinstruct.dataset.source import Source, open_source
from selfinstruct.runner.directory import Run

_CONTAMINATED = "contain benchmark text"
"""The name of the filter that removes rows with benchmark text. It completes the sentence "rows that …"."""


@dataclass(kw_only=True, repr=False)
class ExportSummary:
    """The result of one call of `export_records`."""

    format: str
    container: str = ""
    parts: list[Part] = field(default_factory=list)
    beside: list[Path] = field(default_factory=list)
    """Paths of the additional files that were written next to the data."""
    remarks: list[str] = field(default_factory=list)
    """Remarks for the user about the source and the output."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Number of rows that each filter removed. The filters' names complete the sentence "rows that …"."""
    benchmarks: Benchmarks | None = None
    missing: Sequence[str] = ()
    """One sentence for each piece of information that is missing in the card."""

    @property
    def rows(self) -> int:
        """Number of rows in all parts together."""
        return sum(part.rows for part in self.parts)

    @property
    def left_out(self) -> int:
        """Number of rows that were left out because they contain a benchmark item."""
        return self.removed.get(_CONTAMINATED, 0)

    def __repr__(self) -> str:
        return f"<ExportSummary: {self.rows:,} rows, {sum(self.removed.values()):,} removed>"

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
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


def export_records(
    source: Path | str,
    output: Path | str,
    *,
    decontaminate: Names = (),
    language: Names = (),
    progress: Progress = no_progress,
    hold: Hold = no_hold,
    **options: Any,
) -> ExportSummary:
    """Write a run's or a file's rows in a format for trainers, and additional files next to the data.

    The parameters are the same as the options of `selfinstruct export`. `options` are fields of `ExportJob`:

        export_records("my-run", "chats.jsonl", format="messages", split=(0.95, 0.05), shuffle_seed=1)

    If SelfInstructError is raised, no file has changed.
    """
    job = ExportJob(
        source=str(source),
        output=Path(output),
        benchmarks=listed(decontaminate),
        languages=tuple(listed(language)),
        **options,
    )
    job.check()
    summary = ExportSummary(format=job.format)
    with open_source(
        job.source, input_format=job.input_format, include_seed_tasks=job.include_seed_tasks
    ) as opened:
        run = opened.run
        if run is None:
            job.check_for_file()
        types = COLUMN_TYPES if run is not None else {}
        with writing(job.output, job, types=types, hold=hold) as export:
            summary.container = export.container
            rows: Iterable[Row] = _filtered(opened, job, summary, progress)
            if job.similarities and run is not None:
                rows = with_similarities(rows, run.state, progress)
            summary.parts = export.write(rows)
            _write_beside(job, export, summary, run)
        summary.remarks = [*opened.remarks(), *job.remarks_on_earlier(summary.parts)]
        summary.remarks += _remarks_on_prompts(export.first)
    return summary


def _filtered(
    source: Source, job: ExportJob, summary: ExportSummary, progress: Progress
) -> FilteredRows:
    """Return the rows to write, which are the source's rows that pass all filters."""
    filters: dict[str, RowFilter] = {}
    if job.limit is not None:
        filters["belong to instructions after the limit"] = source.first(job.limit)
    if job.benchmarks:
        summary.benchmarks = Benchmarks(job.benchmarks, Rules(), progress)
        filters[_CONTAMINATED] = summary.benchmarks.without_hits
    if job.max_instances_per_task is not None:
        each = partial(at_most_each, count=job.max_instances_per_task)
        filters["follow enough rows of their instruction"] = each
    rows = FilteredRows(source.rows(progress), filters, source=job.source)
    summary.removed = rows.removed
    return rows


def _write_beside(job: ExportJob, export: Export, summary: ExportSummary, run: Run | None) -> None:
    """Write the trainers' configuration files and the card next to the data, if requested."""
    beside = job.trainer_files(export.container, summary.parts)
    if job.card and run is not None:
        check_card(job.output)  # again, because the card may have been edited meanwhile
        hits = summary.benchmarks.records_hit() if summary.benchmarks is not None else None
        card = card_for(run, export, summary.parts, job.terms, job.shown(), left_out=hits)
        beside[job.output.parent / CARD] = card.text.encode()
        summary.missing = card.missing
    for path, data in beside.items():
        export.add(path, data)
    summary.beside = [*beside]


def _remarks_on_prompts(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a remark if the first prompt ends in a letter or digit, which the completion would continue."""
    if rows and str(rows[0].get("prompt", "."))[-1:].isalnum():
        end = rows[0]["prompt"].rpartition("\n")[2][-20:]
        yield (
            f"prompts end in {end!r}, and completions follow without a separator; to add one, end the "
            "template with another line break"
        )
