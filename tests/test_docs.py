"""Check the documentation against the code: examples run, links work, and tables are complete."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

import pytest
from support import ROOT, typed

from selfinstruct import journal_events as events
from selfinstruct.cli import app
from selfinstruct.config.schema import OPERATIONAL, RunConfig
from selfinstruct.records import Reason

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
PYTHON = (DOCS / "get-started/python.md").read_text(encoding="utf-8")
SETTINGS = (DOCS / "reference/settings.md").read_text(encoding="utf-8")
REASONS = (DOCS / "reference/reasons.md").read_text(encoding="utf-8")
RUN_DIRECTORY = (DOCS / "reference/run-directory.md").read_text(encoding="utf-8")


def test_the_python_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}
    monkeypatch.chdir(tmp_path)
    for example in re.findall(r"```python\n(.*?)```", PYTHON, re.DOTALL):
        exec(compile(example, "python.md", "exec"), names)
    assert (tmp_path / "alpaca_data.json").stat().st_size > 1000
    output = capsys.readouterr().out
    assert re.match(r"<RunSummary: 2\d instructions, \d+ rows, \d+ rejected>\n", output)
    assert "output" in output
    assert re.search(r"<FilterSummary: \d+ read, \d+ rejected>\n<DecontaminationSummary: ", output)
    assert {path.name for path in tmp_path.iterdir()} >= {
        *("my-run", "own-run", "counted-run", "clean.json", "chats.train.jsonl", "chats.test.jsonl")
    }


def test_the_examples_about_the_demo_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    typed("demo")
    examples = [
        example
        for page in PAGES
        for example in re.findall(
            r"```\n\$ selfinstruct (\w+ demo-run.*?)```", page.read_text("utf-8"), re.DOTALL
        )
    ]
    assert len(examples) >= 4
    for example in examples:
        command, _, shown = example.partition("\n")
        assert without_line_numbers(typed(*shlex.split(command)).stdout) == without_line_numbers(
            shown
        )


def without_line_numbers(output: str) -> str:
    """Return the output without the numbers of journal lines, which depend on timing."""
    return re.sub(r"\bline \d+|(?<=journal lines) +\d+", "line N", output)


def test_the_readme_names_every_command_and_module() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"`selfinstruct {command.name or command.callback.__name__}" in README
    tree = README.split("selfinstruct/\n├──")[1].split("```")[0]
    for path in (ROOT / "selfinstruct").iterdir():
        if path.is_dir() and (path / "__init__.py").exists():
            assert f"{path.name}/" in tree
        elif path.suffix == ".py" and not path.name.startswith("__"):
            assert path.name in tree


def test_the_readme_fits_on_one_page() -> None:
    assert len(README.splitlines()) <= 150


def test_the_index_lists_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+)\)", INDEX))
    assert linked == {page.relative_to(DOCS).as_posix() for page in PAGES} - {"index.md"}


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub creates for a page's headings."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*PAGES, *sorted(ROOT.glob("*.md"))], ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = unquote(target).partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), target


def test_every_page_named_in_the_code_exists() -> None:
    files = [
        path
        for name in ("selfinstruct", "benchmarks", "scripts", "tests")
        for path in (ROOT / name).rglob("*")
    ]
    for path in files:
        if path.suffix in {".py", ".yaml", ".jinja", ""} and path.is_file():
            for name in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
                assert (ROOT / name).exists(), f"{path}: {name}"


def test_every_setting_is_in_the_right_table() -> None:
    dataset, _, operational = SETTINGS.partition("## How the run is carried out")
    for name in RunConfig.__dataclass_fields__:
        table = operational if name in OPERATIONAL else dataset
        stage, _, rest = name.partition("_")
        abbreviated = f"`{stage}_temperature`" in table and f"`_{rest}`" in table
        assert f"`{name}`" in table or abbreviated, name


def test_every_reason_is_explained() -> None:
    assert [reason for reason in Reason if f"`{reason}`" not in REASONS] == []


def test_every_kind_of_event_is_explained() -> None:
    for event in get_args(events.Event):
        assert f"`{event.__dataclass_fields__['kind'].default}`" in RUN_DIRECTORY


def test_the_package_has_the_license_of_the_repository() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
