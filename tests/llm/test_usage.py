"""Tests of credible, impossible and missing token counts in replies."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.llm.reply import read_usage
from selfinstruct.records import Completion, Usage


def usage(**counts: Any) -> dict[str, Any]:
    return {"prompt_tokens": 100, "completion_tokens": 40, "total_tokens": 140} | counts


@pytest.mark.parametrize(
    ("counts", "written"),
    [
        (usage(), 40),
        (usage(total_tokens=None), 40),
        (usage(total_tokens=0), 40),
        (usage(total_tokens=900), 800),
        (usage(completion_tokens_details={"reasoning_tokens": 30}), 40),
        (usage(completion_tokens_details={"reasoning_tokens": 700}), 740),
        (usage(total_tokens=840, completion_tokens_details={"reasoning_tokens": 700}), 740),
        (usage(completion_tokens_details={"reasoning_tokens": "many"}), 40),
        (usage(completion_tokens=0, total_tokens=300), 200),
    ],
)
def test_reasoning_tokens_count_as_written(counts: dict[str, Any], written: int) -> None:
    assert read_usage(counts, has_text=True) == Usage(prompt_tokens=100, completion_tokens=written)


@pytest.mark.parametrize(
    "counts",
    [
        usage(prompt_tokens=0, completion_tokens=0, total_tokens=0),
        usage(completion_tokens=0, total_tokens=100),
        usage(prompt_tokens=0, total_tokens=40),
        usage(completion_tokens=-1),
        usage(prompt_tokens=-100),
        usage(total_tokens=-1),
        usage(completion_tokens=40.5),
        usage(completion_tokens=40.0),
        usage(completion_tokens="40"),
        usage(completion_tokens=True),
        usage(completion_tokens=None),
        usage(prompt_tokens=[100]),
        usage(total_tokens="140"),
        usage(completion_tokens=10**9),
        usage(completion_tokens=2 * 10**6),
        usage(prompt_tokens=2 * 10**7),
        usage(total_tokens=2**63),
        usage(prompt_tokens=float("inf")),
        usage(completion_tokens=float("nan")),
    ],
    ids=str,
)
def test_impossible_counts_are_no_usage(counts: dict[str, Any]) -> None:
    assert isinstance(read_usage(counts, has_text=True), str)


@pytest.mark.parametrize("counts", [None, {}, "many", 3, {"total_tokens": 140}, {"tokens": 140}])
def test_missing_counts_are_no_usage(counts: object) -> None:
    assert read_usage(counts, has_text=True) is None


def test_an_empty_reply_may_have_no_tokens() -> None:
    counts = usage(completion_tokens=0, total_tokens=100)
    assert read_usage(counts, has_text=False) == Usage(prompt_tokens=100, completion_tokens=0)


_COUNTS = st.one_of(st.none(), st.integers(), st.floats(), st.booleans(), st.text(max_size=3))


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(usage(), _COUNTS)), st.booleans())
def test_any_counts_are_credible_or_none(counts: dict[str, Any], has_text: bool) -> None:
    counted = read_usage(counts, has_text=has_text)
    if isinstance(counted, Usage):
        text = "9. Name a river." if has_text else ""
        completion = Completion(text=text, finish_reason="stop", model="m", usage=counted)
        assert completion.counted == counted
        assert counted.completion_tokens >= counts["completion_tokens"]


@pytest.mark.parametrize(
    "counts",
    [
        Usage(prompt_tokens=0, completion_tokens=0),
        Usage(prompt_tokens=100, completion_tokens=0),
        Usage(prompt_tokens=0, completion_tokens=40),
        Usage(prompt_tokens=100, completion_tokens=10**8),
        Usage(prompt_tokens=100, completion_tokens=-1),
        Usage(prompt_tokens=100, completion_tokens=4.5),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_impossible_counts_of_a_backend_are_dropped(counts: Usage) -> None:
    completion = Completion(text="A river.", finish_reason="stop", model="m", usage=counts)
    assert completion.counted is None
