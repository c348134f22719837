"""What `selfinstruct filter` does with its files, from the first that is opened to the last that is named."""

import os
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.cli.progress_bar import Show, bar
from selfinstruct.cli.record_files import check_names, check_others, open_input, output_formats
from selfinstruct.cli.signals import Hold
from selfinstruct.dataset.deduplication import (
    NOTHING_SIMILAR,
    Candidate,
    Deduplication,
    Rejected,
    has_text,
    text_of,
)
from selfinstruct.dataset.record_files import (
    Record,
    RecordReader,
    RecordSpool,
    RecordWriter,
    read_records,
    write_records,
)
from selfinstruct.errors import ConfigError

_NOWHERE = -1
"""The position of a text that was compared with nothing."""


@dataclass(frozen=True)
class Job:
    """What was asked for."""

    inputs: Sequence[str]
    output: Path
    fields: Sequence[str]
    threshold: float
    tokenizer: str
    against: Sequence[str]
    against_fields: Sequence[str]
    rejected: Path | None
    keep_equal: bool
    similarities: bool
    input_format: str | None
    output_format: str | None
    quiet: bool


@dataclass
class Tally:
    """What became of the records."""

    read: int = 0
    kept: int = 0
    rejected: int = 0
    without_tokens: int = 0
    """Of those kept."""
    kept_as_equal: int = 0
    """Of those kept: the very text of another one."""
    with_an_input: int = 0
    """Of those rejected: the very text of another record, with an input that was not compared."""
    against: int = 0
    """Records that counted as kept before."""
    fields_without_text: list[str] = field(default_factory=list)
    """Of several fields, those in which no record has a text."""
    seconds: float = field(default=0.0)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}

    def lines(self, job: Job) -> list[str]:
        """For a person."""
        share = f" ({self.rejected / self.read:.1%})" if self.read else ""
        counts = [
            f"read {self.read:,}",
            f"kept {self.kept:,}",
            f"rejected {self.rejected:,}{share}",
            f"without tokens {self.without_tokens:,}",
            f"{self.seconds:.1f} s",
        ]
        if job.against:
            counts.insert(1, f"compared also with {self.against:,}")
        if job.keep_equal:
            counts.insert(
                counts.index(f"kept {self.kept:,}") + 1, f"of these as equal {self.kept_as_equal:,}"
            )
        told = [", ".join(counts)]
        if self.without_tokens:
            told.append(
                f"{self.without_tokens:,} of the kept texts hold no word that the tokenizer "
                f"{job.tokenizer} knows; they were compared with nothing"
            )
        if job.threshold == 1:
            told.append(
                "nothing is over 1: not even exact copies are rejected; to reject only these use -t 0.999"
            )
        if self.with_an_input:
            told.append(
                f"{self.with_an_input:,} of the rejected have the very text of another record, and an input "
                "that was not compared; to keep each input of an instruction: --keep-equal"
            )
        told.extend(
            f"no record has a text in the field {name!r}; if it is misspelt, name another with --field"
            for name in self.fields_without_text
        )
        written = {job.output: self.kept, job.rejected: self.rejected}
        for path, count in written.items():
            if path is not None and str(path) != "-":
                told.append(f"wrote {count:,} {'record' if count == 1 else 'records'} to {path}")
        return told


def carry_out(job: Job, hold: Hold = lambda: None) -> Tally:
    """Read, decide, write. Raises ConfigError, InputError, ExportError; then no file has changed."""
    began = time.monotonic()
    try:
        dedup = Deduplication(
            threshold=job.threshold, tokenizer=job.tokenizer, keep_equal=job.keep_equal
        )
    except ValueError:
        problem = f"must lie between 0 and 1, not {job.threshold:g}"
        raise ConfigError("threshold", problem) from None
    check_names(job.inputs, job.against, (job.output, job.rejected))
    tally = Tally()
    with ExitStack() as stack:
        first = stack.enter_context(open_input(job.inputs[0], job.input_format))
        check_others(job.inputs, job.against, job.input_format)
        formats = output_formats(job.output, job.rejected, job.output_format, first)
        kept = stack.enter_context(write_records(job.output, format=formats[0], like=first))
        rejected = None
        if job.rejected is not None:
            rejected = stack.enter_context(
                write_records(job.rejected, format=formats[1], like=first)
            )
        spool = stack.enter_context(RecordSpool(_folder(job.output))) if job.similarities else None
        positions = array("q")
        with bar(quiet=job.quiet) as show:
            _know(job, dedup, tally, show)
            for decision in dedup.decide(_candidates(job, first, tally, show)):
                if isinstance(decision, Rejected):
                    tally.rejected += 1
                    tally.with_an_input += _has_another_input(decision, job)
                    if rejected is not None:
                        rejected.write(decision.record, _remarks(decision))
                    continue
                tally.kept += 1
                tally.without_tokens += decision.position is None
                tally.kept_as_equal += decision.is_equal
                if spool is None:
                    kept.write(decision.record)
                else:
                    spool.add(decision.record)
                    positions.append(_NOWHERE if decision.position is None else decision.position)
            if spool is not None:
                _write_with_similarities(spool, positions, dedup, kept, show)
        for writer in (kept, rejected):  # both, before either gets its name
            if writer is not None:
                writer.complete()
        hold()
    tally.seconds = time.monotonic() - began
    return tally


def _has_another_input(decision: Rejected[Record], job: Job) -> bool:
    """Whether a record may be no copy: published data has one instruction with several inputs."""
    if job.keep_equal or decision.is_known or tuple(job.fields) != ("instruction",):
        return False
    if not decision.record.fields.get("input"):
        return False
    return _text(decision.record, job.fields) == decision.witness


def _remarks(decision: Rejected[Record]) -> dict[str, Any]:
    return {
        "witness": decision.witness,
        "witness_place": decision.witness_place,
        "rouge_l": decision.rouge_l,
    }


def _write_with_similarities(
    spool: RecordSpool,
    positions: "array[int]",
    dedup: Deduplication,
    kept: RecordWriter,
    show: Show,
) -> None:
    """Write the kept records. Only now, so that all cores can compute the scores together."""
    compared = array("q", (position for position in positions if position != _NOWHERE))
    similarities = dedup.similarities(compared, workers=os.cpu_count() or 1)
    for number, (record, position) in enumerate(zip(spool, positions, strict=True)):
        kept.write(record, next(similarities) if position != _NOWHERE else NOTHING_SIMILAR)
        show(number / len(positions), f"{number:,} of {len(positions):,} similarities")


def _know(job: Job, dedup: Deduplication, tally: Tally, show: Show) -> None:
    for name in job.against:
        with read_records(name) as records:
            for record in records:
                text = _text(record, job.against_fields, option="--against-field")
                dedup.know(text, record.place)
                tally.against += 1
                show(None, f"{tally.against:,} read of --against")


def _candidates(
    job: Job, first: RecordReader, tally: Tally, show: Show
) -> Iterator[Candidate[Record]]:
    sizes = [Path(name).stat().st_size if Path(name).is_file() else None for name in job.inputs]
    total = sum(size or 0 for size in sizes) if None not in sizes else None
    before = 0
    tally.fields_without_text = list(job.fields) if len(job.fields) > 1 else []
    for number, name in enumerate(job.inputs):
        with first if number == 0 else open_input(name, job.input_format) as records:
            for record in records:
                tally.read += 1
                if tally.fields_without_text:
                    tally.fields_without_text = [
                        field
                        for field in tally.fields_without_text
                        if not has_text(record.fields, field)
                    ]
                yield Candidate(record, _text(record, job.fields), record.place, record.size)
                share = (before + records.bytes_read) / total if total else None
                show(share, f"{tally.read:,} read, {tally.rejected:,} rejected")
        before += sizes[number] or 0


def _text(record: Record, fields: Sequence[str], *, option: str = "--field") -> str:
    try:
        return text_of(record.fields, fields, option=option)
    except ValueError as error:
        raise record.fault(str(error)) from None


def _folder(output: Path) -> Path | None:
    """Where there is room for as much as will be written: beside it."""
    if str(output) == "-":
        return None
    folder = Path(os.path.realpath(output)).parent
    return folder if os.access(folder, os.W_OK) and not str(folder).startswith("/dev") else None
