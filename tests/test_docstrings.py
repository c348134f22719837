"""The worked examples in module docstrings are true."""

import doctest
from importlib import import_module

import pytest

EXAMPLES = [
    "config.schema",
    "data.decontamination",
    "data.decontamination.field_texts",
    "pipeline.timeline",
    "pipeline.stable_random",
    "config.request_extras",
    "pipeline.filters",
    "pipeline.novelty",
    "cli.terminal",
    "data.record_files.json_text",
    "data.deduplication",
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples_are_true(name: str) -> None:
    result = doctest.testmod(import_module(f"selfinstruct.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
