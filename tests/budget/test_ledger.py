"""Test the ledger and the budget: every attempt counts exactly once, and no limit is exceeded."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.budget.ledger import Ledger
from selfinstruct.budget.limits import Budget, Limits, limits_of
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import FREE, NOTHING, Consumption, Price
from selfinstruct.cost.worst_case import worst_case
from selfinstruct.display import dollars
from selfinstruct.errors import ConfigError, LimitReachedError
from selfinstruct.journal_events import Released, Reserved
from selfinstruct.records import Message, Prompt, Request, Sampling, Usage

PRICE = Price(input=Decimal("0.4"), cached_input=Decimal("0.1"), output=Decimal("1.6"))


def request(name: str = "generate/000001", *, max_tokens: int = 50) -> Request:
    return Request(
        id=name,
        stage="generate",
        prompt=Prompt(template="t@0", messages=(Message(role="user", content="Go on."),)),
        sampling=Sampling(model="m", max_tokens=max_tokens),
    )


def attempt(name: str = "generate/000001", *, max_tokens: int = 50) -> tuple[str, Consumption]:
    return name, worst_case(request(name, max_tokens=max_tokens))


def budget_of(ledger: Ledger, limits: Limits, *, finishing: int = 0) -> Budget:
    """Return a budget whose events are applied to the ledger, as in `runner.directory`."""

    def record(event: Reserved | Released) -> None:
        if isinstance(event, Released):
            ledger.release(event.request_id)
            return
        most = Consumption(
            requests=1,
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
        )
        ledger.reserve(event.request_id, most, replaces=event.replaces)

    return Budget(
        ledger,
        limits,
        record=record,
        sync=lambda: None,
        finishing_cost=lambda _: Consumption(requests=finishing),
    )


# ── money ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_costs_add_up_exactly() -> None:
    one = Consumption(requests=1, prompt_tokens=1, completion_tokens=1)
    assert PRICE.cost(one) == Decimal("0.000002")
    assert sum((PRICE.cost(one) for _ in range(10**4)), Decimal(0)) == PRICE.cost(10**4 * one)


def test_cached_tokens_have_their_price() -> None:
    consumed = Consumption(requests=1, prompt_tokens=1_000_000, cached_tokens=250_000)
    assert PRICE.cost(consumed) == Decimal("0.325")
    assert FREE.cost(consumed) == 0


def test_amounts_have_as_many_digits_as_needed() -> None:
    expected = {
        "0": "$0",
        "12.346": "$12.35",
        "1234.5": "$1,234.50",
        "0.5": "$0.50",
        "0.0123": "$0.0123",
        "0.000678": "$0.00068",
    }
    assert {amount: dollars(Decimal(amount)) for amount in expected} == expected


# ── ledger ────────────────────────────────────────────────────────────────────────────────────────────────

_ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "replace", "settle", "unheard", "release", "give_up", "crash"]),
        st.integers(0, 3),
        st.integers(0, 100),
        st.integers(0, 50),
    ),
    max_size=60,
)


@given(_ACTIONS)
def test_spent_never_falls_and_reservations_add_up(
    actions: list[tuple[str, int, int, int]],
) -> None:
    ledger = Ledger()
    for action, number, prompt, completion in actions:
        before, name = ledger.spent, f"generate/{number}"
        pending = ledger.pending.get(name)
        if action in ("reserve", "replace"):
            most = Consumption(requests=1, prompt_tokens=100, completion_tokens=50)
            ledger.reserve(name, most, replaces=action == "replace")
        elif action == "settle":
            ledger.settle(name, Usage(prompt_tokens=prompt, completion_tokens=completion))
        elif action == "unheard":
            ledger.settle(name, None)
        elif action == "release":
            ledger.release(name)
        elif action == "give_up":
            ledger.give_up(name)
        else:
            ledger.give_all_up()
            assert not ledger.pending
        gained = ledger.spent - before
        assert min(gained.requests, gained.prompt_tokens, gained.completion_tokens) >= 0
        if action in ("replace", "release") and pending is not None:
            assert gained == Consumption(requests=1)  # the attempt was sent, but not billed
        if action in ("reserve", "give_up") and pending is not None:
            assert gained == pending  # the attempt's consumption remains unknown
        assert ledger.reserved == sum(ledger.pending.values(), NOTHING)
        assert ledger.committed == ledger.spent + ledger.reserved


def test_an_excess_of_prompt_tokens_raises_later_bounds() -> None:
    ledger = Ledger()
    budget = budget_of(ledger, Limits())
    budget.begin(*attempt())
    reserved = ledger.reserved.prompt_tokens
    ledger.settle(request().id, Usage(prompt_tokens=reserved + 77, completion_tokens=5))
    budget.begin(*attempt("generate/000002"))
    assert ledger.reserved.prompt_tokens == reserved + 77


def test_an_excess_of_reply_tokens_raises_later_bounds() -> None:
    ledger = Ledger()
    budget = budget_of(ledger, Limits())
    budget.begin(*attempt(max_tokens=50))
    ledger.settle(request().id, Usage(prompt_tokens=5, completion_tokens=60))
    budget.begin(*attempt("generate/000002", max_tokens=50))
    assert ledger.reserved.completion_tokens == 60


def test_bounds_follow_the_largest_excess() -> None:
    ledger = Ledger()
    budget = budget_of(ledger, Limits())
    raw = worst_case(request()).prompt_tokens
    for excess in (77, 100, 90):
        budget.begin(*attempt())
        ledger.settle(request().id, Usage(prompt_tokens=raw + excess, completion_tokens=5))
    budget.begin(*attempt())
    assert ledger.reserved.prompt_tokens == raw + 100


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────

_MOST = worst_case(request())


@settings(max_examples=200)
@given(
    actions=_ACTIONS,
    cost=st.none() | st.integers(0, 4000).map(lambda n: Decimal(n) / 10**6),
    tokens=st.none() | st.integers(0, 4000),
    requests=st.none() | st.integers(0, 12),
)
def test_committed_consumption_stays_within_every_limit(
    actions: list[tuple[str, int, int, int]],
    cost: Decimal | None,
    tokens: int | None,
    requests: int | None,
) -> None:
    ledger = Ledger()
    limits = Limits(cost=cost, tokens=tokens, requests=requests, price=PRICE)
    budget = budget_of(ledger, limits)
    for action, number, prompt, completion in actions:
        name = f"generate/{number}"
        if action == "reserve" and name not in ledger.pending:
            if budget.admits(name, _MOST):
                budget.begin(name, _MOST)
        elif action in ("reserve", "replace"):
            with suppress(LimitReachedError):
                budget.reserve(name, _MOST, is_billed=action == "reserve")
        elif action == "settle":
            used = Usage(
                prompt_tokens=min(prompt, _MOST.prompt_tokens),
                completion_tokens=min(completion, _MOST.completion_tokens),
            )
            if name in ledger.pending:
                ledger.settle(name, used)
        elif action == "release":
            budget.release(name)
        elif action == "crash":
            ledger.give_all_up()
        committed = ledger.committed
        assert tokens is None or committed.tokens <= tokens
        assert requests is None or committed.requests <= requests
        assert cost is None or PRICE.cost(committed) <= cost


def test_an_unbilled_attempt_makes_room_for_the_next() -> None:
    ledger = Ledger()
    budget = budget_of(ledger, Limits(tokens=_MOST.tokens))  # enough for one attempt
    budget.begin(*attempt())
    budget.reserve(*attempt(), is_billed=False)
    assert ledger.committed.tokens == _MOST.tokens
    with pytest.raises(LimitReachedError, match="--max-tokens-total is reached: 0 of"):
        budget.reserve(*attempt(), is_billed=True)


def test_the_finishing_cost_is_reserved() -> None:
    limits = Limits(requests=5)
    assert not budget_of(Ledger(), limits, finishing=5).admits(*attempt())
    assert budget_of(Ledger(), limits, finishing=4).admits(*attempt())


@pytest.mark.parametrize("is_billed", [False, True])
def test_the_finishing_cost_is_reserved_from_retries_too(is_billed: bool) -> None:
    budget = budget_of(Ledger(), Limits(requests=6), finishing=4)
    budget.begin(*attempt())
    budget.reserve(*attempt(), is_billed=is_billed)
    with pytest.raises(LimitReachedError):
        budget.reserve(*attempt(), is_billed=is_billed)


def test_a_token_limit_needs_max_tokens() -> None:
    samplings = [Sampling(model="m", max_tokens=50), Sampling(model="m")]
    config = RunConfig(model="m", max_tokens_total=1000)
    with pytest.raises(ConfigError, match="max_tokens_total: needs a max_tokens for every stage"):
        limits_of(config, samplings)
    assert limits_of(RunConfig(model="m", max_requests=5), samplings).requests == 5


def test_without_a_limit_every_request_is_reserved() -> None:
    ledger = Ledger()
    budget = budget_of(ledger, Limits())
    assert not budget.limit_names
    assert budget.admits(*attempt())
    budget.begin(*attempt())
    assert ledger.reserved == _MOST
