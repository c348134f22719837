"""Test that no tokenizer and no reply exceeds an attempt's worst case."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.cost import Consumption
from selfinstruct.cost.worst_case import (
    TOKENS_PER_MESSAGE,
    TOKENS_PER_PROMPT,
    is_bounded,
    worst_case,
)
from selfinstruct.records import Message, Prompt, Request, Sampling

CHAT = Request(
    id="generate/000001",
    stage="generate",
    prompt=Prompt(template="t@0", messages=(Message(role="user", content="Nenne Flüsse."),)),
    sampling=Sampling(model="m", max_tokens=64),
)


def limited(max_tokens: int | None = 64, **extra: Any) -> Sampling:
    return Sampling(model="m", max_tokens=max_tokens, extra=extra)


def test_a_chat_counts_bytes_and_template_tokens() -> None:
    assert worst_case(CHAT) == Consumption(
        requests=1,
        prompt_tokens=14 + TOKENS_PER_MESSAGE + TOKENS_PER_PROMPT,
        completion_tokens=64,
    )


def test_a_text_prompt_counts_bytes() -> None:
    text = replace(CHAT, prompt=Prompt(template="t@0", text="1. Nenne Flüsse.\n2."))
    assert worst_case(text).prompt_tokens == 20 + TOKENS_PER_PROMPT


@given(st.lists(st.text()))
def test_no_prompt_exceeds_its_bound(texts: list[str]) -> None:
    """Use the worst possible tokenizer, which has one token per byte."""
    messages = tuple(Message(role="user", content=text) for text in texts)
    prompt = Prompt(template="t@0", messages=messages)
    tokens = sum(len(text.encode()) for text in texts)
    assert worst_case(replace(CHAT, prompt=prompt)).prompt_tokens >= tokens


@pytest.mark.parametrize(
    ("sampling", "completion_tokens"),
    [
        (limited(), 64),
        (limited(None), 0),
        (limited(max_tokens=64, max_completion_tokens=512), 512),
        (limited(max_tokens=None, max_completion_tokens=512), 512),
        (limited(64, max_completion_tokens=None), 0),
        (limited(64, max_completion_tokens=-1), 0),
        (limited(64, max_completion_tokens="512"), 0),
        (limited(64, best_of=3), 192),
        (limited(64, n=2, best_of=3), 192),
        (limited(64, n=4), 256),
        (limited(64, n="4", best_of=None), 64),
    ],
)
def test_the_maximum_of_a_reply_is_the_sent_one(sampling: Sampling, completion_tokens: int) -> None:
    assert worst_case(replace(CHAT, sampling=sampling)).completion_tokens == completion_tokens
    assert is_bounded(sampling) == (completion_tokens > 0)


def test_an_extra_maximum_replaces_the_setting() -> None:
    sampling = Sampling(model="m", max_tokens=64, extra={"max_tokens": 8})
    assert worst_case(replace(CHAT, sampling=sampling)).completion_tokens == 8


def test_tools_and_schemas_count_like_prompt_text() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "x" * 1000}}]
    more = replace(CHAT, sampling=limited(64, tools=tools))
    assert worst_case(more).prompt_tokens >= worst_case(CHAT).prompt_tokens + 1000
