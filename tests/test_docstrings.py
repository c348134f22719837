"""Check that the examples in module docstrings are correct."""

import doctest
from importlib import import_module

import pytest

EXAMPLES = [
    "config.schema",
    "config.request_extras",
    "dataset.decontamination",
    "dataset.decontamination.field_texts",
    "pipeline.filters",
    "pipeline.novelty",
    "pipeline.stable_random",
    "pipeline.timeline",
    "display",
    "dataset.record_files.values",
    "dataset.deduplication.decisions",
    "dataset.deduplication.field_text",
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_correct(name: str) -> None:
    result = doctest.testmod(import_module(f"selfinstruct.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
