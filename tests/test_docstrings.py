"""The worked examples in module docstrings are true."""

import doctest
from importlib import import_module

import pytest

EXAMPLES = [
    "config",
    "contamination",
    "contamination.texts",
    "course",
    "draw",
    "extras",
    "filters",
    "novelty",
    "cli.terminal",
    "dataset_files.json_text",
    "filtering",
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples_are_true(name: str) -> None:
    result = doctest.testmod(import_module(f"selfinstruct.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
