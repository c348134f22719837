"""The direction of imports, stated once and checked."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

PACKAGE = ROOT / "selfinstruct"

WORDS = {
    "errors",
    "finish_reasons",
    "records",
    "config",
    "declaration",
    "cost",
    "bounds",
    "pricing",
    "settings",
    "backend",
    "files",
    "resources",
    "draw",
    "events",
    "tokenizers",
    "extras",
    "dataset_files",
}
STAGES = {"seeds", "pool", "prompts", "parse", "filters", "novelty"}
LOOP = {"patience", "refusals", "upcoming"}
FOLD = {
    "spending",
    "course",
    "outlook",
    "state",
    "recipes",
    "profiles",
    "plan",
    "decide",
    "summary",
}
RUN = {"journal_line", "journal", "lock", "frozen", "meter", "run_directory", "new_run"}

MAY_IMPORT = {
    "errors": set(),
    "finish_reasons": set(),
    "records": {"finish_reasons"},
    "draw": set(),
    "files": set(),
    "disk": set(),
    "resources": set(),
    "extras": {"errors"},
    "dataset_files": {"errors", "files", "dataset_files"},
    "declaration": set(),
    "config": {"declaration", "errors", "records", "extras"},
    "settings": {"config", "errors", "files"},
    "cost": {"records"},
    "bounds": {"records", "cost"},
    "pricing": {"config", "cost", "errors", "resources"},
    "events": {"records", "cost", "backend"},
    "tokenizers": set(),
    "backend": {"records", "bounds"},
    # The stages are siblings: they import words only.
    **dict.fromkeys(STAGES, WORDS),
    "parse": WORDS | {"parse"},
    "novelty": WORDS | {"novelty"},
    "filters": WORDS | {"parse"},
    "profiles": WORDS | {"parse", "filters"},
    "recipes": WORDS | {"prompts"},
    "spending": {"cost", "records"},
    "course": {"cost"},
    "outlook": {"cost", "course", "state"},
    "state": WORDS | {"filters", "novelty", "pool", "spending", "course"},
    "plan": WORDS | {"prompts", "recipes", "state"},
    "decide": WORDS | STAGES | {"profiles", "state"},
    "summary": WORDS | {"state", "outlook"},
    "journal_line": WORDS,
    "journal": WORDS | {"journal_line"},
    "lock": {"errors", "files"},
    "frozen": WORDS | STAGES | {"recipes", "journal_line", "journal"},
    "run_directory": WORDS | (RUN - {"new_run"}) | {"prompts", "recipes", "state"},
    "new_run": {"events", "frozen", "journal", "lock", "run_directory"},
    "importing": WORDS | {"parse", "profiles", "state", "importing", "__init__"} | RUN,
    "export": WORDS | {"pool", "parse", "prompts", "export"},
    **{unit: {"errors", "records"} for unit in LOOP},
    "meter": WORDS | {"bounds", "spending"},
    "upcoming": WORDS | FOLD | RUN | LOOP | {"bounds"},
    # The loop takes a backend as an argument and never picks one.
    "generate": WORDS | STAGES | FOLD | RUN | LOOP | {"__init__"},
    # Backends know the seam and nothing of the pipeline.
    "llm": {
        "config",
        "records",
        "errors",
        "finish_reasons",
        "backend",
        "extras",
        "cost",
        "bounds",
        "llm",
    },
    # The simulated endpoint knows nothing of ours, so that it can never confirm our own mistakes.
    "simulate": {"simulate"},
    "verify": WORDS | FOLD | RUN | {"verify"},
    "explain": WORDS | STAGES | FOLD | RUN | {"explain"},
    "refilter": WORDS | {"parse"} | FOLD | RUN | {"refilter", "__init__"},
    "api": WORDS | FOLD | RUN | {"export", "generate", "importing", "llm"},
    "filtering": {"novelty"},
    "contamination": {"tokenizers", "novelty", "contamination"},
    "card": WORDS
    | {"filters", "profiles", "recipes", "summary", "frozen", "run_directory", "card"},
    "preview": WORDS | {"parse", "pool"} | FOLD | RUN | {"explain"},
    "estimate": WORDS | FOLD | RUN | {"estimate"},
    "recorded": WORDS | {"filters", "parse", "profiles"},
    "cli": WORDS
    | {"filters", "patience", "recorded", "seeds"}
    | FOLD
    | RUN
    | {
        "card",
        "disk",
        "export",
        "generate",
        "estimate",
        "preview",
        "llm",
        "api",
        "simulate",
        "verify",
        "explain",
        "refilter",
        "importing",
        "filtering",
        "contamination",
        "cli",
        "__init__",
    },
    "__init__": None,
    "__main__": None,
}
"""For each module or subpackage, what of ours it may import. None: anything."""


def _modules() -> list[tuple[str, str]]:
    """(unit, path) of every source file; a unit is a module or a subpackage."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found.append((parts[0], str(path)))
    return found


def _imports(path: str) -> set[str]:
    """The units of ours that a file imports, wherever in it."""
    units = set()
    tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = (
                [f"selfinstruct.{alias.name}" for alias in node.names]
                if node.module == "selfinstruct"
                else [node.module or ""]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "selfinstruct":
                unit = rest.partition(".")[0]
                is_module = (PACKAGE / f"{unit}.py").exists() or (PACKAGE / unit).is_dir()
                units.add(unit if unit and is_module else "__init__")
    return units


@pytest.mark.parametrize(("unit", "path"), _modules())
def test_a_module_imports_only_what_the_table_allows(unit: str, path: str) -> None:
    allowed = MAY_IMPORT[unit]
    if allowed is not None:
        assert _imports(path) <= allowed


def test_importing_the_package_and_its_command_line_loads_nothing_heavy() -> None:
    """`--help` must not wait for a client library, and a notebook not for what it does not use."""
    code = (
        "import sys, selfinstruct, selfinstruct.cli\n"
        "heavy = {'openai', 'pydantic', 'pandas', 'numpy', 'rouge_score', 'nltk', 'rapidfuzz', 'jinja2',"
        " 'yaml', 'starlette', 'uvicorn', 'tenacity', 'jsonlines', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
