"""Measure the time and memory of `selfinstruct export` for an Alpaca-style list.

The baseline for JSON is `json.load` and `json.dump` of the whole list. The baseline for Parquet and
`datasets` is `load_dataset("json", …)` of the package `datasets`, then `to_parquet` or `save_to_disk`.
Exports and baselines run alternately, each in a separate process.

    python benchmarks/exporting.py [--rows 52000] [--repeats 5]
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from instructions import synthetic

_JSON = """
import json, sys
with open(sys.argv[1]) as file: rows = json.load(file)
with open(sys.argv[2], "w") as file: json.dump(rows, file, ensure_ascii=False, indent=4)
"""
_DATASETS = """
import sys, datasets
rows = datasets.load_dataset("json", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2] + ".cache")
rows.%s(sys.argv[2])
"""
_OURS = "from selfinstruct.cli import main; main()"


def _took(code: str, *arguments: object) -> tuple[float, float]:
    """Run Python code in a separate process. Return the seconds and the peak memory in MB."""
    measured = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True)\n"
        "sys.stderr.buffer.write(done.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(done.returncode)\n"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", measured, sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=False,
        text=True,
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    # ru_maxrss is in bytes on macOS, and in kilobytes on Linux.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return took, int(done.stdout) / unit


def _rows(path: Path, count: int) -> None:
    draw = random.Random(5)
    texts = islice(synthetic(), count)
    answers = [*islice(synthetic(), 2000)]
    rows = [
        {
            "instruction": text,
            "input": draw.choice(answers) if draw.random() < 0.4 else "",
            "output": " ".join(draw.choices(answers, k=4)),
        }
        for text in texts
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=4), encoding="utf-8")


def main() -> None:
    """Measure exports and baselines, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=52_000)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = folder / "given.json"
        _rows(given, asked.rows)
        print(f"{asked.rows:,} rows, {given.stat().st_size / 1e6:.0f} MB of JSON")
        for form, baseline in {
            "alpaca": _JSON,
            "messages": _JSON,
            "parquet": _DATASETS % "to_parquet",
            "datasets": _DATASETS % "save_to_disk",
        }.items():
            plain: list[tuple[float, float]] = []
            ours: list[tuple[float, float]] = []
            for repeat in range(asked.repeats):
                plain.append(_took(baseline, given, folder / f"plain-{form}-{repeat}"))
                output = folder / f"ours-{form}"
                ours.append(_took(_OURS, "export", given, "-o", output, "-f", form))
            _tell(form, plain, ours)


def _tell(
    form: str, plain: Sequence[tuple[float, float]], ours: Sequence[tuple[float, float]]
) -> None:
    ratios = [mine[0] / other[0] for mine, other in zip(ours, plain, strict=True)]
    (seconds, memory), (their_seconds, their_memory) = (
        (statistics.median(t for t, _ in some), max(m for _, m in some)) for some in (ours, plain)
    )
    time_ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(
        f"{form:>10}: {seconds:.1f} s, {memory:.0f} MB; baseline {their_seconds:.1f} s, "
        f"{their_memory:.0f} MB; time {time_ratio}, memory {memory / their_memory:.2f}"
    )


if __name__ == "__main__":
    main()
