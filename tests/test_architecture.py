"""Check the rules for imports between selfinstruct's top-level packages and modules, in every file."""

import ast
import subprocess
import sys
from pathlib import Path

from support import ROOT

PACKAGE = ROOT / "selfinstruct"

WORDS = {"records", "journal_events", "errors", "cost", "files", "display", "backend"}
METHOD = WORDS | {"config", "budget", "pipeline"}

MAY_IMPORT = {
    **dict.fromkeys(WORDS, WORDS),
    "config": WORDS,
    "budget": WORDS | {"config"},
    "pipeline": WORDS | {"config", "budget"},
    # The loop gets its backend as an argument, so it does not import one.
    "runner": METHOD,
    # The endpoint's client is independent of the pipeline.
    "llm": WORDS | {"config"},
    "dataset": METHOD | {"runner"},
    "analysis": METHOD | {"runner"},
    # The simulated endpoint shares no protocol code with its clients. Otherwise both could have the same
    # bugs.
    "simulate": {"errors", "files"},
    "api": METHOD | {"runner", "llm", "dataset", "analysis"},
    "cli": METHOD | {"runner", "llm", "dataset", "analysis", "simulate", "api"},
}
"""For each top-level package or module, the others that it may import."""

MAY_IMPORT_ANYTHING = {"__init__", "__main__"}


def _units(path: Path) -> set[str]:
    """Return the top-level packages and modules that a file imports, including imports inside functions."""
    units = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        units |= {name.split(".")[1] for name in names if name.startswith("selfinstruct.")}
    return units - {"__version__"}


def test_imports_follow_the_table() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        unit = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if unit in MAY_IMPORT_ANYTHING:
            continue
        assert unit in MAY_IMPORT, f"{path}: give {unit} a row in MAY_IMPORT"
        wrong += [
            f"{path.relative_to(ROOT)} imports {other}"
            for other in sorted(_units(path) - MAY_IMPORT[unit] - {unit})
        ]
    assert not wrong, "\n".join(wrong)


def test_every_package_has_a_docstring() -> None:
    """Check that every package has a docstring and at most 24 names, so that its listing is an overview."""
    names = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert len(names) <= 24
    for path in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_import_loads_no_heavy_package() -> None:
    """Check that no heavy package is imported, because `--help` and `import selfinstruct` must be fast."""
    code = (
        "import sys, selfinstruct, selfinstruct.cli\n"
        "heavy = {'openai', 'pydantic', 'pandas', 'numpy', 'rouge_score', 'nltk', 'rapidfuzz', 'jinja2',"
        " 'yaml', 'starlette', 'uvicorn', 'tenacity', 'jsonlines', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
