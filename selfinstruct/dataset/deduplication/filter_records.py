"""Removes near-duplicates from files of records."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.dataset.callbacks import Hold, Progress, no_hold, no_progress
from selfinstruct.dataset.deduplication.decisions import (
    NOTHING_SIMILAR,
    Deduplication,
    Kept,
    ListedText,
    Rejected,
)
from selfinstruct.dataset.deduplication.field_text import has_text, text_of
from selfinstruct.dataset.file_jobs import ListFiles, Names, OpenLists, listed, path_of
from selfinstruct.dataset.record_files import Record, RecordWriter, read_records
from selfinstruct.errors import ConfigError

_ADDED = ("witness", "witness_place", "rouge_l")
"""Attributes of a decision that are added to a rejected record as fields."""


@dataclass(repr=False)
class FilterSummary:
    """The counts from one call of `filter_records`."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    without_tokens: int = 0
    """Number of kept records whose text has no tokens."""
    kept_as_equal: int = 0
    """Number of records that were kept although their text equals another kept record's text."""
    with_an_input: int = 0
    """Number of rejected records whose text equals another record's, but whose input was not compared."""
    against: int = 0
    """Number of records read from the files in `ListFiles.against`."""
    fields_without_text: list[str] = field(default_factory=list)
    """If several fields are compared, those that are not a text in any record."""
    seconds: float = 0.0

    def __repr__(self) -> str:
        return f"<FilterSummary: {self.read:,} read, {self.rejected:,} rejected>"

    def as_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


def filter_records(
    inputs: Names,
    output: Path | str,
    *,
    field: Names = "instruction",
    threshold: float = 0.7,
    tokenizer: str = "unicode",
    against: Names = (),
    against_field: Names = (),
    rejected: Path | str | None = None,
    keep_equal: bool = False,
    similarities: bool = False,
    input_format: str | None = None,
    output_format: str | None = None,
    progress: Progress = no_progress,
    hold: Hold = no_hold,
) -> FilterSummary:
    """Write the records from files or runs without near-duplicates. The first of similar records is kept.

    The parameters are the same as the options of `selfinstruct filter`. Raises ConfigError, InputError or
    ExportError, or ValueError if the tokenizer is unknown. In each case, no file has changed.
    """
    began = time.monotonic()
    files = ListFiles(
        inputs=listed(inputs),
        output=Path(output),
        against=listed(against),
        rejected=path_of(rejected),
        input_format=input_format,
        output_format=output_format,
    )
    fields = listed(field) or ["instruction"]
    if not 0 <= threshold <= 1:
        raise ConfigError("threshold", f"must be between 0 and 1, not {threshold:g}")
    dedup = Deduplication(threshold=threshold, tokenizer=tokenizer, keep_equal=keep_equal)
    summary = FilterSummary(fields_without_text=fields if len(fields) > 1 else [])
    compares_inputs = keep_equal or fields != ["instruction"]
    with files.open(hold) as opened:
        _know(files, listed(against_field) or fields, dedup, summary, progress)
        waiting: list[Kept[Record]] = []
        for decision in dedup.decide(_listed(opened, fields, summary, progress)):
            if isinstance(decision, Rejected):
                summary.rejected += 1
                summary.with_an_input += not compares_inputs and _has_another_input(decision)
                if opened.rejected is not None:
                    added = {name: getattr(decision, name) for name in _ADDED}
                    opened.rejected.write(decision.record, added)
                continue
            summary.kept += 1
            summary.without_tokens += decision.position is None
            summary.kept_as_equal += decision.is_equal
            if similarities:
                waiting.append(decision)
            else:
                opened.kept.write(decision.record)
        _write_with_similarities(waiting, dedup, opened.kept, progress)
    summary.seconds = time.monotonic() - began
    return summary


def _has_another_input(decision: Rejected[Record]) -> bool:
    """Return whether a rejected record has the same instruction as its witness, but also has an input.

    Inputs were not compared, so the record may be a different task. In published datasets, some instructions
    occur with several inputs.
    """
    fields = decision.record.fields
    is_copy = not decision.is_known and fields["instruction"] == decision.witness
    return is_copy and bool(fields.get("input"))


def _write_with_similarities(
    waiting: Sequence[Kept[Record]], dedup: Deduplication, kept: RecordWriter, progress: Progress
) -> None:
    """Write the kept records with their similarities.

    This is done after all decisions, so that all cores can compute scores.
    """
    positions = [kept.position for kept in waiting if kept.position is not None]
    similarities = dedup.similarities(positions, workers=os.cpu_count() or 1)
    for number, decision in enumerate(waiting, start=1):
        has_tokens = decision.position is not None
        kept.write(decision.record, next(similarities) if has_tokens else NOTHING_SIMILAR)
        progress(number / len(waiting), f"{number:,} of {len(waiting):,} similarities")


def _know(
    files: ListFiles,
    fields: Sequence[str],
    dedup: Deduplication,
    summary: FilterSummary,
    progress: Progress,
) -> None:
    for name in files.against:
        with read_records(name) as records:
            for record in records:
                dedup.know(_text(record, fields, option="--against-field"), record.place)
                summary.against += 1
                progress(None, f"{summary.against:,} read from --against")


def _listed(
    opened: OpenLists, fields: Sequence[str], summary: FilterSummary, progress: Progress
) -> Iterator[ListedText[Record]]:
    for _, record in opened.records():
        summary.read += 1
        summary.fields_without_text = [
            name for name in summary.fields_without_text if not has_text(record.fields, name)
        ]
        yield ListedText(record, _text(record, fields, option="--field"), record.place)
        progress(opened.share, f"{summary.read:,} read, {summary.rejected:,} rejected")


def _text(record: Record, fields: Sequence[str], *, option: str) -> str:
    try:
        return text_of(record.fields, fields, option=option)
    except ValueError as error:
        raise record.fault(str(error)) from None
