"""Test what an accepted instruction costs now, and the forecast of what further ones will cost."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_seed_task

from selfinstruct.cli.cost_lines import cost_lines, doubling
from selfinstruct.cli.run_progress import Pace
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import Consumption, ExpectedUse, Price
from selfinstruct.pipeline.marginal_cost import marginal_cost
from selfinstruct.pipeline.recipes import SELF_INSTRUCT
from selfinstruct.pipeline.state import RunState, initial
from selfinstruct.pipeline.summary import summarize
from selfinstruct.pipeline.timeline import Timeline
from selfinstruct.records import Task

PRICE = Price(input=Decimal(1), cached_input=Decimal(1), output=Decimal(1))


def grown(
    number: int, *, growth: float, price: Price | None = PRICE, imported: int = 0
) -> RunState:
    """Return the state of a run in which instruction n takes 2 n^growth candidates.

    A candidate takes 50 tokens, and finishing a task takes 500. Imported instructions count in n, but consume
    nothing.
    """
    state = initial(RunConfig(model="m"), [make_seed_task(n) for n in range(8)])
    state.price = price
    step, candidates, accepted = 10, 0.0, 0
    while accepted < number:
        before, accepted = candidates, accepted + step
        candidates += 2 * step * (imported + accepted) ** growth
        tokens = 50 * (round(candidates) - round(before))
        consumed = Consumption(requests=1, prompt_tokens=tokens)
        state.timeline.mark(accepted=accepted, candidates=round(candidates), consumed=consumed)
        for n in range(step):
            task = Task(id=f"t{accepted}/{n}", instruction="x", origin="generated", instances=())
            state.pool.add(task)
    for n in range(imported):
        state.pool.add(Task(id=f"i{n}", instruction="x", origin="imported", instances=()))
    state.pool_sizes[0] += imported
    state.counts.imported = state.counts.imported_whole = imported
    state.counts.finished_tasks = imported + accepted
    state.timeline.finishing = Consumption(requests=accepted, prompt_tokens=500 * accepted)
    state.ledger.spent = Consumption(
        requests=accepted, prompt_tokens=50 * round(candidates) + 500 * accepted
    )
    return state


def test_the_timeline_can_be_read_during_a_mark() -> None:
    """Read the timeline in another thread, because the progress thread may read it at any moment."""
    timeline = Timeline()

    class Interrupted:
        @property
        def amounts(self) -> Iterator[int]:
            for _ in range(4):
                assert timeline.stretch(0, 10**6).accepted == timeline.recent(500).accepted
                yield 1

    for accepted in (3, 5):
        timeline.mark(accepted=accepted, candidates=9, consumed=cast("Any", Interrupted()))
    assert timeline.stretch(0, 5).consumed.requests == 2


@settings(max_examples=15)
@given(number=st.integers(80, 1500).map(lambda n: n * 10), growth=st.floats(0, 0.8))
def test_the_forecast_continues_the_growth(number: int, growth: float) -> None:
    ahead = marginal_cost(grown(number, growth=growth))
    later = grown(number + 1000, growth=growth)
    truth = float(PRICE.cost(later.ledger.spent - grown(number, growth=growth).ledger.spent))
    assert ahead.next_thousand_usd is not None
    assert float(ahead.next_thousand_usd) == pytest.approx(truth, rel=0.03)
    assert ahead.next_thousand_tokens == pytest.approx(truth * 1e6, rel=0.03)


@settings(max_examples=10)
@given(
    number=st.integers(80, 500).map(lambda n: n * 10),
    growth=st.floats(0, 0.8),
    imported=st.integers(1, 20_000),
)
def test_imported_tasks_count_but_cost_nothing(number: int, growth: float, imported: int) -> None:
    state = grown(number, growth=growth, imported=imported)
    ahead = marginal_cost(state)
    later = grown(number + 1000, growth=growth, imported=imported)
    truth = float(PRICE.cost(later.ledger.spent - state.ledger.spent))
    assert ahead.next_thousand_usd is not None
    assert float(ahead.next_thousand_usd) == pytest.approx(truth, rel=0.03)
    assert ahead.cost_usd is not None
    assert ahead.usd_per_accepted is not None
    assert float(ahead.usd_per_accepted * number) == pytest.approx(float(ahead.cost_usd), rel=1e-6)


@pytest.mark.parametrize("growth", [0.2, 0.5])
def test_doubles_at_is_where_the_cost_doubles(growth: float) -> None:
    ahead = marginal_cost(grown(4000, growth=growth))
    assert ahead.doubles_at is not None
    now, then = (100 * n**growth + 500 for n in (4000, ahead.doubles_at))
    assert then / now == pytest.approx(2, rel=0.03)


def test_a_flat_cost_never_doubles() -> None:
    assert marginal_cost(grown(4000, growth=0.01)).doubles_at is None
    assert doubling(10**9) == ""
    assert doubling(81_234) == "at about 81,000"


def test_few_instructions_give_no_forecast() -> None:
    ahead = marginal_cost(grown(390, growth=0.3))
    assert (ahead.next_thousand_usd, ahead.doubles_at) == (None, None)
    assert ahead.usd_per_accepted is not None


def test_tokens_replace_an_unknown_price() -> None:
    ahead = marginal_cost(grown(1000, growth=0.3, price=None))
    assert (ahead.cost_usd, ahead.next_thousand_usd) == (None, None)
    assert ahead.next_thousand_tokens
    assert any(
        "M tokens" in line for line in cost_lines(summarize(grown(1000, growth=0.3, price=None)))
    )


def test_recent_means_the_last_five_hundred() -> None:
    timeline = Timeline()
    for n in range(1, 101):
        consumed = Consumption(requests=1, prompt_tokens=100 if n <= 50 else 300)
        timeline.mark(
            accepted=10 * n, candidates=10 * n + (n > 50) * 10 * (n - 50), consumed=consumed
        )
    recent = timeline.recent(500)
    assert (recent.accepted, recent.consumed.prompt_tokens) == (500, 50 * 300)
    assert recent.acceptance == 0.5
    assert timeline.stretch(0, 500).acceptance == 1.0
    assert Timeline().recent(500).accepted == 0


def test_cost_lines_show_spent_expected_and_next_costs() -> None:
    state = grown(2000, growth=0.3)
    total = state.ledger.spent.tokens
    usd = (Decimal(1), Decimal(2), Decimal(4))
    state.expected_use[2000] = ExpectedUse(target=2000, tokens=(total, total, total), usd=usd)
    state.ledger.unheard = Consumption(requests=3, prompt_tokens=900)
    said = "\n".join(cost_lines(summarize(state)))
    spent = PRICE.cost(state.ledger.spent)
    assert f"${spent:.2f}" in said
    assert "of the last 500" in said
    assert f"($1.00 to $4.00); actual: {spent / 2:.2f} times that" in said
    assert "900  tokens at most, in 3 attempts without a reply" in said
    assert "the cost doubles at about" in said
    prospects = Pace(5000, SELF_INSTRUCT).prospects(state)
    assert [part.split()[0] for part in prospects] == [
        prospects[0].split()[0],
        "the",
        "the",
        "twice",
    ]


def test_an_unreached_target_is_not_compared() -> None:
    state = grown(2000, growth=0.3)
    state.expected_use[3000] = ExpectedUse(target=3000, tokens=(1, 2, 3), usd=None)
    assert summarize(state).expected_use is None
