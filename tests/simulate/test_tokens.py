"""Laws of counting and cutting."""

import doctest
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.simulate.protocol import tokens
from selfinstruct.simulate.protocol.completions import finish
from selfinstruct.simulate.random_draws import Draws

TEXTS = st.text(max_size=200) | st.text(st.sampled_from("ab .,\n12_é"), max_size=200)


@given(TEXTS)
def test_tokens_put_together_give_the_text_back(text: str) -> None:
    """No character is lost, doubled or moved."""
    assert "".join(tokens.pieces(text)) == text
    assert tokens.count(text) == len(tokens.pieces(text))


@given(TEXTS, st.integers(0, 60))
def test_a_cut_text_never_counts_more_than_its_limit(text: str, limit: int) -> None:
    """What is left is a beginning, of as many tokens as are reported."""
    kept, number = tokens.cut(text, limit)
    assert text.startswith(kept)
    assert tokens.count(kept) == number <= limit
    assert kept == text or number == limit


@given(TEXTS, st.lists(st.text("ab .", min_size=1, max_size=3), max_size=4), st.integers(1, 60))
def test_stop_texts_are_never_in_the_reply(text: str, stops: list[str], limit: int) -> None:
    """Neither cut nor uncut does a reply hold any of them."""
    for bound in (None, limit):
        kept, number, reason = finish(text, tuple(stops), bound)
        assert text.startswith(kept)
        assert not any(stop in kept for stop in stops)
        assert number == tokens.count(kept)
        assert reason == "stop" or number == bound


@given(st.integers(1, 50), st.integers(0, 60))
def test_some_of_the_options_are_different_ones(number: int, wanted: int) -> None:
    """Nothing is drawn twice, and no more than there is."""
    drawn = Draws(f"{number} {wanted}").some_of(range(number), wanted)
    assert len(set(drawn)) == len(drawn) == min(number, wanted)


EXAMPLES = [
    *(
        "author.author",
        "author.common_tasks",
        "random_draws",
        "author.sentence_frames",
        "author.labels",
        "author.chat_habits",
        "protocol.request_members",
        "protocol.completions",
    ),
    *("author.code_snippets", "protocol.tokens"),
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples_are_true(name: str) -> None:
    """The examples in the module docstrings can be run."""
    result = doctest.testmod(import_module(f"selfinstruct.simulate.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
