"""Measure the acceptance rate of a whole run against the simulated author, per 1,000 candidates.

Run the pipeline on the simulated author, without HTTP, until the target is reached. Print the share of
accepted candidates in each window of 1,000 candidates. There is no baseline. The simulated endpoint is useful
for rehearsing 52,000 instructions if the share is between 30 % and 80 %.

    python benchmarks/author_novelty.py [--instructions 52000]
"""

import argparse
import asyncio
import hashlib
import tempfile
import time
from pathlib import Path

from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import Committed
from selfinstruct.records import Completion, Request
from selfinstruct.runner.directory import open_run
from selfinstruct.runner.journal import read_journal
from selfinstruct.runner.loop import grow
from selfinstruct.simulate.author.author import Author

WINDOW = 1000


class Authored:
    """A backend that asks the simulated author for instructions, and answers "No" in other stages."""

    def __init__(self) -> None:
        self._author = Author()

    async def complete(self, request: Request) -> Completion:
        """Return a reply at once."""
        prompt = request.prompt.messages[-1].content
        seed = hashlib.sha256(prompt.encode()).hexdigest()
        text = self._author.write(prompt, seed) if request.stage == "generate" else "No"
        return Completion(text=text, finish_reason="stop", model="author")


def main() -> None:
    """Run the pipeline, and print the acceptance rate of each window."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instructions", type=int, default=52_000)
    config = RunConfig(
        model="author", num_instructions=parser.parse_args().instructions, max_concurrency=256
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with open_run(Path(folder) / "run", config) as opened:
            asyncio.run(grow(opened, backend=Authored()))
        seconds = time.perf_counter() - began
        path = Path(folder) / "run" / "journal.jsonl"
        commits = [e.event for e in read_journal(path) if isinstance(e.event, Committed)]
    # Sort the candidates of a commit by their position in the reply, which is the number after the "#".
    fates = [
        kind
        for commit in commits
        for _, kind in sorted(
            [(int(a.candidate_id.rpartition("#")[2]), True) for a in commit.accepted]
            + [(int(r.candidate_id.rpartition("#")[2]), False) for r in commit.rejected]
        )
    ]
    rates = [
        sum(fates[start : start + WINDOW]) / WINDOW
        for start in range(0, len(fates) - WINDOW + 1, WINDOW)
    ]
    for start in range(0, len(rates), 10):
        print(
            f"candidates {start * WINDOW:>7,} on:",
            *(f"{rate:.0%}" for rate in rates[start : start + 10]),
        )
    print(
        f"{sum(fates):,} accepted of {len(fates):,} candidates; windows of {WINDOW:,}: "
        f"{min(rates):.1%} to {max(rates):.1%}; {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
