"""What `selfinstruct decontaminate` does with its files, from the first that is opened to the last."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.cli.benchmark_files import Benchmarks, Rules, as_fields
from selfinstruct.cli.progress_bar import Show, bar
from selfinstruct.cli.record_files import check_names, check_others, open_input, output_formats
from selfinstruct.cli.signals import Hold
from selfinstruct.dataset.decontamination import (
    OTHER,
    FieldText,
    Hit,
    is_within,
    layout_of,
    texts_of,
)
from selfinstruct.dataset.record_files import (
    Record,
    RecordReader,
    RecordWriter,
    format_of,
    write_records,
)
from selfinstruct.errors import InputError

_AT_ONCE = 500
_BYTES_AT_ONCE = 4_000_000
"""Records are looked at in batches: fast, and still little memory."""


@dataclass(frozen=True)
class Job:
    """What was asked for."""

    inputs: Sequence[str]
    output: Path
    against: Sequence[str]
    rules: Rules
    fields: Sequence[str]
    """The fields of a record that are looked at; none for all."""
    rejected: Path | None
    report: Path | None
    input_format: str | None
    output_format: str | None
    quiet: bool

    @property
    def outputs(self) -> list[Path]:
        """Every file that is written."""
        return [path for path in (self.output, self.rejected, self.report) if path is not None]


@dataclass
class Tally:
    """What became of the records."""

    benchmarks: Benchmarks
    read: int = 0
    kept: int = 0
    layouts: dict[str, str] = field(default_factory=dict)
    """What each input begins like."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        dropped = self.benchmarks.dropped
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": dropped.total(),
            "by_ngram": dropped["ngram"],
            "by_rouge_l": dropped["rouge_l"],
            "benchmarks": self.benchmarks.as_json(),
        }

    def lines(self, job: Job) -> list[str]:
        """For a person."""
        dropped = self.benchmarks.dropped.total()
        share = f" ({dropped / self.read:.1%})" if self.read else ""
        counts = f"read {self.read:,}, kept {self.kept:,}, dropped {dropped:,}{share}"
        remarks = [
            f"{name} looks like {layout} and was read as INPUT; each benchmark needs its own --against"
            for name, layout in self.layouts.items()
            if layout != OTHER.name
        ]
        table = self.benchmarks.table(job.rules.ngram)
        return [*table, "", counts, *_written(self, job), *remarks]


def _written(tally: Tally, job: Job) -> Iterator[str]:
    dropped = tally.benchmarks.dropped.total()
    for path, count in ((job.output, tally.kept), (job.rejected, dropped)):
        if path is not None and str(path) != "-":
            yield f"wrote {count:,} {'record' if count == 1 else 'records'} to {path}"
    if job.report is not None and str(job.report) != "-":
        yield f"wrote what was hit to {job.report}"


def carry_out(job: Job, hold: Hold = lambda: None) -> Tally:
    """Read, decide, write. Raises ConfigError, InputError, ExportError; then no file has changed."""
    check_names(job.inputs, job.against, (job.output, job.rejected, job.report))
    if job.report is not None and format_of(job.report) not in (None, "jsonl"):
        raise InputError(
            job.report, "would hold JSON lines; give --report a name that ends in .jsonl"
        )
    with ExitStack() as stack:
        first = stack.enter_context(open_input(job.inputs[0], job.input_format))
        check_others(job.inputs, job.against, job.input_format)
        _check_inputs(job)
        # The files that are written are opened first: who cannot have them need not wait for the benchmarks.
        formats = output_formats(job.output, job.rejected, job.output_format, first)
        kept = stack.enter_context(write_records(job.output, format=formats[0], like=first))
        rejected = report = None
        if job.rejected is not None:
            rejected = stack.enter_context(
                write_records(job.rejected, format=formats[1], like=first)
            )
        if job.report is not None:
            report = stack.enter_context(write_records(job.report, format="jsonl"))
        show = stack.enter_context(bar(quiet=job.quiet))
        tally = Tally(Benchmarks(job.against, job.rules, show))
        missing = set(job.fields)
        for batch in _batches(job, first, tally, show):
            texts = [_texts(record, job.fields, missing) for record in batch]
            found = tally.benchmarks.index.check(texts)
            for record, hits in zip(batch, found, strict=True):
                tally.benchmarks.count(hits)
                if not hits:
                    tally.kept += 1
                    kept.write(record)
                    continue
                if rejected is not None:
                    rejected.write(record, {"contamination": [as_fields(hit) for hit in hits]})
                if report is not None:
                    _report(report, record, hits)
        if missing and tally.read:
            names = " or ".join(repr(name) for name in sorted(missing))
            problem = f"no record has a text in {names}; check --field, or leave it out to take every text"
            raise InputError(", ".join(job.inputs), problem)
        for writer in (kept, rejected, report):  # all of them, before one gets its name
            if writer is not None:
                writer.complete()
        hold()
    return tally


def _check_inputs(job: Job) -> None:
    """Look at how each begins before anything is written; what is no regular file can be read only once."""
    layouts = {}
    for name in job.inputs if len(job.inputs) > 1 else ():
        if Path(name).is_file():
            with open_input(name, job.input_format) as records:
                for record in records:
                    layouts[name] = layout_of(record.fields).name
                    break
    _check_layouts(layouts)


def _check_layouts(layouts: Mapping[str, str]) -> None:
    """Raises InputError where some inputs, but not all, are benchmarks: their items would be kept.

    Of `--against mmlu.jsonl hellaswag.jsonl` a shell makes one --against and an INPUT.
    """
    if OTHER.name not in layouts.values():
        return
    for name, layout in layouts.items():
        if layout != OTHER.name:
            problem = (
                f"looks like {layout} and was given as INPUT; give each benchmark its own --against, or "
                "name this file alone if it is to be cleaned"
            )
            raise InputError(name, problem)


def _texts(record: Record, fields: Sequence[str], missing: set[str]) -> list[FieldText]:
    """The texts of a record that are looked at; takes those fields that it has out of `missing`."""
    texts = list(texts_of(record.fields))
    if not fields:
        return texts
    for name in [*missing]:
        if any(is_within(text.field, name) for text in texts):
            missing.discard(name)
    return [text for text in texts if any(is_within(text.field, name) for name in fields)]


def _report(report: RecordWriter, record: Record, hits: Sequence[Hit]) -> None:
    for number, hit in enumerate(hits, start=1):
        line = {"record": record.place, **as_fields(hit)}
        report.write(Record(line, record.source, number))


def _batches(job: Job, first: RecordReader, tally: Tally, show: Show) -> Iterator[list[Record]]:
    sizes = [Path(name).stat().st_size if Path(name).is_file() else None for name in job.inputs]
    total = sum(size or 0 for size in sizes) if None not in sizes else None
    before, batch, taken = 0, [], 0
    for number, name in enumerate(job.inputs):
        with first if number == 0 else open_input(name, job.input_format) as records:
            for record in records:
                tally.read += 1
                if record.number == 1:
                    tally.layouts[name] = layout_of(record.fields).name
                    _check_layouts(tally.layouts)
                batch.append(record)
                taken += record.size
                if len(batch) == _AT_ONCE or taken > _BYTES_AT_ONCE:
                    yield batch
                    batch, taken = [], 0
                    share = (before + records.bytes_read) / total if total else None
                    dropped = tally.benchmarks.dropped.total()
                    show(share, f"{tally.read:,} read, {dropped:,} dropped")
        before += sizes[number] or 0
    if batch:
        yield batch
