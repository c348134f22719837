"""What is put around replies: nothing unless asked for, and then what was asked for."""

import re
from dataclasses import replace

import openai
import pytest

from selfinstruct.simulate import FaultShares, SimulatedEndpoint
from selfinstruct.simulate.author.author import Author
from selfinstruct.simulate.author.mistakes import PERFECT
from selfinstruct.simulate.protocol.completions import finish

LIST = "Go on with tasks 3 to 6:\n\n1. Sing.\n2. Hum."
EXAMPLES = "Task: Name a colour.\nOutput: red\n\nTask: Classify the text as urgent or routine."
LABELS = "Task: Hot or cold?\nClass label: hot\nInput: fire\n\nTask: Is the text kind or rude?"
SEEDS = [f"{number}" for number in range(60)]


@pytest.mark.parametrize("name", ["thinking", "thinking_unclosed", "prompt_echoed"])
def test_none_happens_unless_it_is_asked_for(name: str) -> None:
    """The shares are 0, so that replies stay what they were."""
    assert getattr(FaultShares(), name) == FaultShares().markers_restyled == 0


@pytest.mark.parametrize("prompt", [LIST, EXAMPLES, "Hello."])
def test_thoughts_come_before_the_reply(prompt: str) -> None:
    """What follows on them is, to the letter, the reply without them."""
    thinking = Author(shares=replace(PERFECT, thinking=1.0))
    for seed in SEEDS:
        text = thinking.write(prompt, seed)
        found = re.fullmatch(r"<think>\n.+?\n</think>\n\n(.+)", text, re.DOTALL)
        assert found is not None
        assert found[1] == Author(shares=PERFECT).write(prompt, seed)


def test_some_replies_are_spared() -> None:
    """A share of a half leaves about half of the replies as they are."""
    plain, thinking = (Author(shares=replace(PERFECT, thinking=share)) for share in (0.0, 0.5))
    spared = sum(plain.write(LIST, seed) == thinking.write(LIST, seed) for seed in SEEDS)
    assert 15 <= spared <= 45


def test_thoughts_without_an_end_are_cut_by_most_limits() -> None:
    """They hold no reply, and break off."""
    author = Author(shares=replace(PERFECT, thinking_unclosed=1.0))
    for seed in SEEDS[:10]:
        text = author.write(LIST, seed)
        assert text.startswith("<think>\n")
        assert "</think>" not in text
        assert finish(text, (), 2000)[2] == "length"


def test_an_echoed_prompt_comes_before_the_reply() -> None:
    """The whole prompt, then the reply on a line of its own."""
    author = Author(shares=replace(PERFECT, prompt_echoed=1.0))
    for prompt in (LIST, EXAMPLES + "\n"):
        reply = Author(shares=PERFECT).write(prompt, "x")
        assert author.write(prompt, "x") == f"{prompt.rstrip()}\n{reply}"


def test_markers_are_bold_or_in_lower_case() -> None:
    """Nothing else in the reply changes."""
    author = Author(shares=replace(PERFECT, markers_restyled=1.0))
    for prompt, names in ((EXAMPLES, ("Input", "Output")), (LABELS, ("Class label", "Input"))):
        seen = set()
        for seed in SEEDS:
            text = author.write(prompt, seed)
            assert not re.search(r"^(?:Input|Output|Class label):", text, re.MULTILINE)
            bold = text.startswith(("**", "Example 1\n**"))
            seen.add(bold)
            for name in names:
                marker, restyled = f"{name}:", f"**{name}:**" if bold else f"{name.lower()} :"
                assert restyled in text
                text = text.replace(restyled, marker)
            assert text == Author(shares=PERFECT).write(prompt, seed)
        assert seen == {True, False}


def test_a_base_model_has_no_manners() -> None:
    """What only chat models do is left to them."""
    manners = replace(
        PERFECT, thinking=1.0, thinking_unclosed=1.0, prompt_echoed=1.0, markers_restyled=1.0
    )
    for prompt in (LIST, EXAMPLES):
        plain = Author(shares=PERFECT).go_on(prompt, "x")
        assert Author(shares=manners).go_on(prompt, "x") == plain


def test_an_endpoint_takes_shares() -> None:
    """Whoever starts one in Python says how often its author goes wrong."""
    shares = replace(PERFECT, thinking=1.0)
    with (
        SimulatedEndpoint(shares=shares) as endpoint,
        openai.OpenAI(base_url=endpoint.base_url, api_key="unused", max_retries=0) as client,
    ):
        reply = client.chat.completions.create(
            model="simulated", messages=[{"role": "user", "content": "Hello."}]
        )
    assert (reply.choices[0].message.content or "").startswith("<think>")
