"""What `selfinstruct filter` does with its files, from the first that is opened to the last that is named."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from selfinstruct.cli.bar import Show, bar
from selfinstruct.cli.record_files import check_names, check_others, open_input
from selfinstruct.cli.stopping import Hold
from selfinstruct.dataset_files import (
    Record,
    RecordReader,
    RecordSpool,
    RecordWriter,
    format_of,
    read_records,
    write_records,
)
from selfinstruct.errors import ConfigError
from selfinstruct.filtering import NOTHING_SIMILAR, Candidate, Deduplication, Rejected, text_of


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
    with_an_input: int = 0
    """Of those rejected: the very text of another record, with an input that was not compared."""
    against: int = 0
    """Records that counted as kept before."""
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
        told = [", ".join(counts)]
        if self.without_tokens:
            told.append(
                f"{self.without_tokens:,} of the kept texts hold no word that the tokenizer "
                f"{job.tokenizer} knows; they were compared with nothing"
            )
        if self.with_an_input:
            told.append(
                f"{self.with_an_input:,} of the rejected have the very text of another record, and an input "
                "that was not compared; to compare it, too: --field instruction --field input"
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
        dedup = Deduplication(threshold=job.threshold, tokenizer=job.tokenizer)
    except ValueError:
        problem = f"must lie between 0 and 1, not {job.threshold:g}"
        raise ConfigError("threshold", problem) from None
    check_names(job.inputs, job.against, (job.output, job.rejected))
    tally = Tally()
    with ExitStack() as stack:
        first = stack.enter_context(open_input(job.inputs[0], job.input_format))
        check_others(job.inputs, job.against, job.input_format)
        chosen = job.output_format or format_of(job.output) or first.format
        kept = stack.enter_context(write_records(job.output, format=chosen, like=first))
        rejected = None
        if job.rejected is not None:
            chosen = format_of(job.rejected) or chosen
            rejected = stack.enter_context(write_records(job.rejected, format=chosen, like=first))
        spool = stack.enter_context(RecordSpool(_folder(job.output))) if job.similarities else None
        is_comparable = bytearray()
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
                if spool is None:
                    kept.write(decision.record)
                else:
                    spool.add(decision.record)
                    is_comparable.append(decision.position is not None)
            if spool is not None:
                _write_with_similarities(spool, is_comparable, dedup, kept, show)
        for writer in (kept, rejected):  # both, before either gets its name
            if writer is not None:
                writer.complete()
        hold()
    tally.seconds = time.monotonic() - began
    return tally


def _has_another_input(decision: Rejected[Record], job: Job) -> bool:
    """Whether a record may be no copy: published data has one instruction with several inputs."""
    if tuple(job.fields) != ("instruction",) or not decision.record.fields.get("input"):
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
    is_comparable: bytearray,
    dedup: Deduplication,
    kept: RecordWriter,
    show: Show,
) -> None:
    """Write the kept records. Only now, so that all cores can compute the scores together."""
    similarities = dedup.similarities(workers=os.cpu_count() or 1)
    for number, (record, comparable) in enumerate(zip(spool, is_comparable, strict=True)):
        kept.write(record, next(similarities) if comparable else NOTHING_SIMILAR)
        show(number / len(is_comparable), f"{number:,} of {len(is_comparable):,} similarities")


def _know(job: Job, dedup: Deduplication, tally: Tally, show: Show) -> None:
    for name in job.against:
        with read_records(name) as records:
            for record in records:
                dedup.know(_text(record, job.against_fields), record.place)
                tally.against += 1
                show(None, f"{tally.against:,} read of --against")


def _candidates(
    job: Job, first: RecordReader, tally: Tally, show: Show
) -> Iterator[Candidate[Record]]:
    sizes = [Path(name).stat().st_size if Path(name).is_file() else None for name in job.inputs]
    total = sum(size or 0 for size in sizes) if None not in sizes else None
    before = 0
    for number, name in enumerate(job.inputs):
        with first if number == 0 else open_input(name, job.input_format) as records:
            for record in records:
                tally.read += 1
                yield Candidate(record, _text(record, job.fields), record.place, record.size)
                share = (before + records.bytes_read) / total if total else None
                show(share, f"{tally.read:,} read, {tally.rejected:,} rejected")
        before += sizes[number] or 0


def _text(record: Record, fields: Sequence[str]) -> str:
    try:
        return text_of(record.fields, fields)
    except ValueError as error:
        raise record.fault(str(error)) from None


def _folder(output: Path) -> Path | None:
    """Where there is room for as much as will be written: beside it."""
    if str(output) == "-":
        return None
    folder = Path(os.path.realpath(output)).parent
    return folder if os.access(folder, os.W_OK) and not str(folder).startswith("/dev") else None
