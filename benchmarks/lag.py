"""Measure how the lag of generation requests affects speed and acceptance.

The lag is the number of requests by which a generation request may run ahead of its pool. Each schedule,
clamp(k // 2, lag_min, lag_max), is tested in one run with 128 requests in flight. The simulated endpoint is a
separate process with a latency of 100 to 300 ms, and 1 % of its replies take ten seconds. Print for each run

    acceptance     accepted ÷ candidates
    own tasks      share of generated tasks among the demonstrations in prompts
    requests/s     during the middle half of the replies
    whole run      duration of the run in seconds

and the ratios to the default schedule, which is the first row.

    python benchmarks/lag.py [--instructions 5000] [--schedules 4:512 4:32 4:128 4:2048 1:512] [--slots 128]

For a short test, use `--instructions 300 --schedules 4:512 4:32`.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rehearsing import (
    done,
    endpoint,
    journal,
    middle_half,
    rate,
    received_at,
    run_command,
    stragglers,
    table,
)

from selfinstruct.config.schema import RunConfig

DEFAULT = f"{RunConfig(model='any').lag_min}:{RunConfig(model='any').lag_max}"
HEAD = (
    "lag",
    "acceptance",
    "÷ default",
    "own tasks",
    "÷ default",
    "requests/s",
    "÷ default",
    "whole run",
)


@dataclass(frozen=True)
class Result:
    """The results of one schedule."""

    acceptance: float
    own_tasks: float
    requests_per_s: float
    seconds: float


def main() -> None:
    """Make one run with each schedule, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instructions", type=int, default=5000)
    parser.add_argument("--slots", type=int, default=128)
    parser.add_argument("--latency-ms", default="100:300")
    parser.add_argument("--share", type=float, default=0.01, help="share of stragglers")
    parser.add_argument("--straggler-s", type=float, default=10.0)
    parser.add_argument(
        "--schedules",
        nargs="+",
        metavar="MIN:MAX",
        default=[DEFAULT, "4:32", "4:128", "4:2048", "1:512"],
    )
    arguments = parser.parse_args()
    schedules = list(dict.fromkeys([DEFAULT, *arguments.schedules]))
    results = {}
    for schedule in schedules:
        results[schedule] = measured(schedule, arguments)
        print(f"{schedule}: {results[schedule].seconds:.0f} s", file=sys.stderr)
    base = results[DEFAULT]
    table(
        HEAD,
        (
            (
                schedule,
                f"{one.acceptance:.1%}",
                f"{one.acceptance / base.acceptance:.3f}",
                f"{one.own_tasks:.1%}",
                f"{one.own_tasks / base.own_tasks:.3f}" if base.own_tasks else "–",
                f"{one.requests_per_s:.0f}",
                f"{one.requests_per_s / base.requests_per_s:.2f}",
                f"{one.seconds:.0f} s",
            )
            for schedule, one in results.items()
        ),
    )


def measured(schedule: str, arguments: argparse.Namespace) -> Result:
    """Make one run with a schedule, and return the results."""
    least, _, most = schedule.partition(":")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directory = folder / "run"
        late = stragglers(
            folder,
            latency_ms=arguments.latency_ms,
            share=arguments.share,
            seconds=arguments.straggler_s,
        )
        with endpoint(None, *late) as url:
            flags = ["-n", str(arguments.instructions), "--max-concurrency", str(arguments.slots)]
            flags += ["--set", f"lag_min={least}", "--set", f"lag_max={most}"]
            began = time.monotonic()
            done(run_command(directory, url, *flags))
            seconds = time.monotonic() - began
        commits = list(journal(directory, "committed"))
        accepted = sum(len(commit["accepted"]) for commit in commits)
        rejected = sum(len(commit["rejected"]) for commit in commits)
        shown = [
            task_id
            for line in journal(directory, "completion_received")
            for task_id in line["demonstration_ids"]
        ]
        return Result(
            acceptance=accepted / (accepted + rejected),
            own_tasks=sum(task_id.startswith("task_") for task_id in shown) / len(shown),
            requests_per_s=rate(middle_half(received_at(directory))),
            seconds=seconds,
        )


if __name__ == "__main__":
    main()
