"""Measure how long `selfinstruct --help` takes.

The baseline is a bare typer app with five commands and no other imports. selfinstruct and the baseline are
measured alternately, and their medians are compared. `import selfinstruct` is compared with Python running
an empty program.

    python benchmarks/startup.py [--repeats 31]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import typer

app = typer.Typer(no_args_is_help=True)

@app.command()
def run() -> None: "Run it."
@app.command()
def demo() -> None: "Show it."
@app.command()
def simulate() -> None: "Serve it."
@app.command()
def status() -> None: "Ask it."
@app.command()
def export() -> None: "Write it."

app()
"""


def main() -> None:
    """Measure the commands alternately, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=31)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        commands = {
            "python": [sys.executable, "-c", "pass"],
            "import selfinstruct": [sys.executable, "-c", "import selfinstruct"],
            "bare typer --help": [sys.executable, str(bare), "--help"],
            "selfinstruct --help": [sys.executable, "-m", "selfinstruct", "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for repeat in range(repeats + 1):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                if repeat:  # the first round compiles modules and fills the disk cache
                    times[name].append((time.perf_counter() - began) * 1e3)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        low, *_, high = statistics.quantiles(values, n=10)
        print(f"{name}: {medians[name]:.0f} ms (80 % of {repeats}: {low:.0f} to {high:.0f})")
    ratio = medians["selfinstruct --help"] / medians["bare typer --help"]
    print(f"selfinstruct --help ÷ bare typer --help: {ratio:.2f}")


if __name__ == "__main__":
    main()
