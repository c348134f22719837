"""The worked examples in module docstrings are true."""

import doctest
from importlib import import_module

import pytest

EXAMPLES = [
    "config.schema",
    "dataset.decontamination",
    "dataset.decontamination.field_texts",
    "pipeline.timeline",
    "pipeline.stable_random",
    "config.request_extras",
    "pipeline.filters",
    "pipeline.novelty",
    "cli.terminal",
    "dataset.record_files.values",
    "dataset.deduplication.decisions",
    "dataset.deduplication.field_text",
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples_are_true(name: str) -> None:
    result = doctest.testmod(import_module(f"selfinstruct.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
