"""Removes records that contain a benchmark item from files of records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from selfinstruct.dataset.callbacks import Hold, Progress, no_hold, no_progress
from selfinstruct.dataset.decontamination.benchmark_files import Benchmarks, Rules, hit_fields
from selfinstruct.dataset.decontamination.field_texts import FieldText, is_within, texts_of
from selfinstruct.dataset.decontamination.index import COMMON, NGRAM, THRESHOLD, Hit
from selfinstruct.dataset.decontamination.item_texts import OTHER, layout_of
from selfinstruct.dataset.file_jobs import ListFiles, Names, OpenLists, listed, open_input, path_of
from selfinstruct.dataset.record_files import Record
from selfinstruct.errors import InputError


@dataclass(repr=False)
class DecontaminationSummary:
    """The counts from one call of `decontaminate_records`."""

    benchmarks: Benchmarks
    read: int = 0
    kept: int = 0
    layouts: dict[str, str] = field(default_factory=dict)
    """The benchmark layout of each input's first record, by input name."""

    @property
    def dropped(self) -> int:
        """Number of records that were dropped because of a hit."""
        return self.benchmarks.dropped.total()

    def __repr__(self) -> str:
        return f"<DecontaminationSummary: {self.read:,} read, {self.dropped:,} dropped>"

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": self.dropped,
            "by_ngram": self.benchmarks.dropped["ngram"],
            "by_rouge_l": self.benchmarks.dropped["rouge_l"],
            "benchmarks": self.benchmarks.as_json(),
        }


def decontaminate_records(
    inputs: Names,
    output: Path | str,
    against: Names,
    *,
    ngram: int = NGRAM,
    threshold: float = THRESHOLD,
    no_rouge: bool = False,
    field: Names = (),
    against_field: Names = (),
    common: int = COMMON,
    rejected: Path | str | None = None,
    report: Path | str | None = None,
    input_format: str | None = None,
    output_format: str | None = None,
    progress: Progress = no_progress,
    hold: Hold = no_hold,
) -> DecontaminationSummary:
    """Write the records from files or runs that contain no item from the benchmark files `against`.

    The parameters are the same as the options of `selfinstruct decontaminate`. Raises ConfigError, InputError
    or ExportError; in each case, no file has changed.
    """
    files = ListFiles(
        inputs=listed(inputs),
        output=Path(output),
        against=[*dict.fromkeys(listed(against))],
        rejected=path_of(rejected),
        report=path_of(report),
        input_format=input_format,
        output_format=output_format,
    )
    rules = Rules(ngram, None if no_rouge else threshold, common, listed(against_field))
    fields = listed(field)
    missing = set(fields)
    # Open the outputs first, so a wrong name is reported before the benchmarks are read.
    with files.open(hold) as opened:
        _check_inputs(files)
        summary = DecontaminationSummary(Benchmarks(files.against, rules, progress))
        records = _read(opened, summary)
        for record, hits in summary.benchmarks.check(records, partial(_texts, fields, missing)):
            if hits:
                _reject(opened, record, hits)
            else:
                summary.kept += 1
                opened.kept.write(record)
            progress(opened.share, f"{summary.read:,} read, {summary.dropped:,} dropped")
        if missing and summary.read:
            names = " or ".join(repr(name) for name in sorted(missing))
            remedy = "check --field, or leave it out to search all text"
            raise InputError(", ".join(files.inputs), f"no record has text in {names}; {remedy}")
    return summary


def _read(opened: OpenLists, summary: DecontaminationSummary) -> Iterator[Record]:
    """Yield all records. For each input's first record, check whether the input looks like a benchmark."""
    for name, record in opened.records():
        summary.read += 1
        if record.number == 1:
            summary.layouts[name] = layout_of(record.fields).name
            _check_layouts(summary.layouts)
        yield record


def _reject(opened: OpenLists, record: Record, hits: Sequence[Hit]) -> None:
    """Write a record and its hits to the file for rejected records, and each hit to the report."""
    contamination = [hit_fields(hit) for hit in hits]
    if opened.rejected is not None:
        opened.rejected.write(record, {"contamination": contamination})
    if opened.report is not None:
        for number, hit in enumerate(contamination, start=1):
            opened.report.write(Record({"record": record.place, **hit}, record.source, number))


def _check_inputs(files: ListFiles) -> None:
    """Raise InputError if only some inputs look like benchmarks.

    Pipes are not checked, because they can be read only once.
    """
    layouts = {}
    for name in files.inputs if len(files.inputs) > 1 else ():
        if Path(name).is_file():
            with open_input(name, files.input_format) as source:
                for record in islice(source.records(), 1):
                    layouts[name] = layout_of(record.fields).name
    _check_layouts(layouts)


def _check_layouts(layouts: Mapping[str, str]) -> None:
    """Raise InputError if some inputs, but not all of them, look like benchmarks.

    This detects a mistake in the command. For example, in `--against mmlu.jsonl hellaswag.jsonl`, the second
    file is an INPUT and not a benchmark, so its items would be kept.
    """
    if OTHER.name not in layouts.values():
        return
    for name, layout in layouts.items():
        if layout != OTHER.name:
            problem = (
                f"looks like {layout} and is an INPUT; give each benchmark its own --against, or clean this "
                "file in a command without the other inputs"
            )
            raise InputError(name, problem)


def _texts(fields: Sequence[str], missing: set[str], record: Record) -> list[FieldText]:
    """Return the record's texts to search. Remove each field that has text from `missing`."""
    texts = list(texts_of(record.fields))
    if not fields:
        return texts
    for name in [*missing]:
        if any(is_within(text.field, name) for text in texts):
            missing.discard(name)
    return [text for text in texts if any(is_within(text.field, name) for name in fields)]
