"""Format the summaries of `filter`, `decontaminate` and `export` for a terminal."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfinstruct.dataset.decontamination.benchmark_files import Benchmarks
from selfinstruct.dataset.decontamination.decontaminate_records import DecontaminationSummary
from selfinstruct.dataset.decontamination.item_texts import OTHER
from selfinstruct.dataset.deduplication.filter_records import FilterSummary
from selfinstruct.dataset.export.export_records import ExportSummary
from selfinstruct.display import cells, counted, visible

Options = Mapping[str, Any]
"""The parameters of a command."""


def filter_lines(summary: FilterSummary, options: Options) -> Iterator[str]:
    """Yield the summary of `selfinstruct filter`."""
    counts = [f"read {summary.read:,}"]
    if options["against"]:
        counts.append(f"compared also with {summary.against:,}")
    counts.append(f"kept {summary.kept:,}")
    if options["keep_equal"]:
        counts.append(f"of these as equal {summary.kept_as_equal:,}")
    rejected = f"rejected {summary.rejected:,}{_share(summary.rejected, summary.read)}"
    counts += [rejected, f"without tokens {summary.without_tokens:,}", f"{summary.seconds:.1f} s"]
    yield ", ".join(counts)
    if summary.without_tokens:
        have = counted(summary.without_tokens, "kept text has", "kept texts have")
        yield f"{have} no words for the tokenizer {options['tokenizer']}, so nothing was compared"
    if options["threshold"] == 1:
        yield "with the threshold 1, even exact copies are kept; to reject only exact copies, use -t 0.999"
    if summary.with_an_input:
        yield (
            f"{summary.with_an_input:,} rejected records have the same text as another record, and an input "
            "that was not compared; to keep records that differ only in their input, use --keep-equal"
        )
    for name in summary.fields_without_text:
        yield f"no record has text in the field {name!r}; if the name is misspelt, correct --field"
    yield from _written({options["output"]: summary.kept, options["rejected"]: summary.rejected})


def decontaminate_lines(summary: DecontaminationSummary, options: Options) -> Iterator[str]:
    """Yield the summary of `selfinstruct decontaminate`."""
    share = _share(summary.dropped, summary.read)
    yield from _benchmark_table(summary.benchmarks)
    yield f"read {summary.read:,}, kept {summary.kept:,}, dropped {summary.dropped:,}{share}"
    yield from _written({options["output"]: summary.kept, options["rejected"]: summary.dropped})
    if options["report"] is not None and str(options["report"]) != "-":
        yield f"wrote the hits to {options['report']}"
    for name, layout in summary.layouts.items():
        if layout != OTHER.name:
            yield f"{name} looks like {layout} and was read as INPUT; each benchmark needs its own --against"


def export_lines(summary: ExportSummary, options: Options) -> Iterator[str]:
    """Yield the summary of `selfinstruct export`."""
    if summary.benchmarks is not None:
        yield from _benchmark_table(summary.benchmarks)
        rows = counted(summary.left_out, "row that contains", "rows that contain")
        yield f"left out {rows} benchmark text"
    has_parts = len(summary.parts) > 1
    for part in summary.parts:
        place = "stdout" if str(options["output"]) == "-" else str(part.path)
        if summary.container == "datasets" and has_parts:
            place = f"{place} ({part.name})"
        of = f" of {counted(part.instructions, 'instruction')}" if has_parts else ""
        yield f"wrote {counted(part.rows, 'row')}{of} to {place}"
    for path in summary.beside:
        yield f"wrote {path}"
    if empty := sum(part.without_output for part in summary.parts):
        have = counted(empty, "row has", "rows have")
        yield f"{have} an empty output, which would train a model to answer with nothing"
    for missing in summary.missing:
        yield f"the dataset card lacks {missing}"
    yield from summary.remarks


def _share(part: int, total: int) -> str:
    return f" ({part / total:.1%})" if total else ""


def _written(counts: Mapping[Path | None, int]) -> Iterator[str]:
    for path, count in counts.items():
        if path is not None and str(path) != "-":
            yield f"wrote {counted(count, 'record')} to {path}"


def _benchmark_table(benchmarks: Benchmarks) -> Iterator[str]:
    """Yield a row per benchmark, remarks about items that are not searched for, and a blank line."""
    all_counts = benchmarks.counts.values()
    names = [visible(counts.file, keep="") for counts in all_counts]
    width = max(len("benchmark"), *map(cells, names))
    by_words = f"  by {benchmarks.index.ngram} words"
    yield f"{'':{width}}      items  items hit   dropped{by_words}  by ROUGE-L"
    for name, counts in zip(names, all_counts, strict=True):
        yield (
            f"{name}{' ' * (width - cells(name))}{counts.items:>11,}{len(counts.items_hit):>11,}"
            f"{counts.records.total():>10,}{counts.records['ngram']:>{len(by_words)},}"
            f"{counts.records['rouge_l']:>12,}"
        )
    index = benchmarks.index
    short = f"no text of {index.shortest} words or more"
    common = f"only texts that more than {index.common:,} different items have (--common)"
    for counts in all_counts:
        for number, what in ((counts.unfindable, short), (counts.only_common, common)):
            if number:
                yield f"{counts.file}: {number:,} of its items have {what}, and are not searched for"
    yield ""
