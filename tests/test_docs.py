"""What the documents say is so: their example runs, and nothing they should name is missing."""

import re
from pathlib import Path
from typing import get_args

import pytest
from support import ROOT

from selfinstruct import events
from selfinstruct.cli import app
from selfinstruct.config.schema import OPERATIONAL, RunConfig
from selfinstruct.records import Reason

README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW = (ROOT / "docs/how-it-works.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs/settings.md").read_text(encoding="utf-8")


def test_the_example_in_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, own_backend = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(own_backend, "README.md", "exec"), {})
    exec(compile(example, "README.md", "exec"), {})
    assert (tmp_path / "alpaca_data.json").stat().st_size > 1000
    said = capsys.readouterr().out
    assert re.match(r"2\d instructions, \d+ rows, \{", said)
    assert "output" in said


def test_the_readme_names_every_command_and_every_module() -> None:
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"`selfinstruct {command.name or command.callback.__name__}" in README
    tree = README.split("selfinstruct/\n├──")[1].split("```")[0]
    for path in (ROOT / "selfinstruct").glob("*.py"):
        assert path.name in tree or path.name.startswith("__")


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=str
)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_setting_has_its_row_in_the_right_table() -> None:
    made, _, carried_out = SETTINGS.partition("## How the job is run")
    for name in RunConfig.__dataclass_fields__:
        table = carried_out if name in OPERATIONAL else made
        stage, _, rest = name.partition("_")
        in_short = f"`{stage}_temperature`" in table and f"`_{rest}`" in table
        assert f"`{name}`" in table or in_short, name


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason}`" in HOW


def test_every_kind_of_event_is_explained() -> None:
    for event in get_args(events.Event):
        assert f"`{event.__dataclass_fields__['kind'].default}`" in HOW


def test_the_license_of_the_package_is_the_one_in_the_checkout() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
