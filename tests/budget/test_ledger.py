"""What a run has consumed: nothing is lost, nothing is counted twice, and limits are kept."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.budget.ledger import Ledger
from selfinstruct.budget.limits import Budget, Limits, limits_of
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import FREE, Consumption, Price
from selfinstruct.cost.worst_case import worst_case
from selfinstruct.errors import ConfigError, LimitReachedError
from selfinstruct.events import Released, Reserved
from selfinstruct.records import Message, Prompt, Request, Sampling, Usage
from selfinstruct.text import dollars

PRICE = Price(input=Decimal("0.4"), cached_input=Decimal("0.1"), output=Decimal("1.6"))
NOTHING = Consumption()


def request(name: str = "generate/000001", *, text: str = "Go on.", limit: int = 50) -> Request:
    return Request(
        id=name,
        stage="generate",
        prompt=Prompt(template="t@0", messages=(Message(role="user", content=text),)),
        sampling=Sampling(model="m", max_tokens=limit),
    )


def metered(ledger: Ledger, limits: Limits) -> Budget:
    """A meter that folds what it records, as `runner.directory` does with a journal in between."""

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

    return Budget(ledger, limits, record=record, sync=lambda: None)


# ── money ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_money_adds_up_to_the_last_digit() -> None:
    one = Consumption(requests=1, prompt_tokens=1, completion_tokens=1)
    assert PRICE.cost(one) == Decimal("0.000002")
    assert sum((PRICE.cost(one) for _ in range(10**4)), Decimal(0)) == PRICE.cost(10**4 * one)


def test_tokens_from_a_cache_have_their_own_price() -> None:
    consumed = Consumption(requests=1, prompt_tokens=1_000_000, cached_tokens=250_000)
    assert PRICE.cost(consumed) == Decimal("0.325")
    assert FREE.cost(consumed) == 0


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0"),
        ("12.346", "$12.35"),
        ("1234.5", "$1,234.50"),
        ("0.5", "$0.50"),
        ("0.0123", "$0.0123"),
        ("0.000678", "$0.00068"),
    ],
)
def test_an_amount_is_shown_with_what_matters(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown


# ── the fold ────────────────────────────────────────────────────────────────────────────────────────────────

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
def test_what_is_spent_never_falls_and_reservations_are_those_that_stand(
    actions: list[tuple[str, int, int, int]],
) -> None:
    ledger = Ledger()
    for action, number, prompt, completion in actions:
        before, name = ledger.spent, f"generate/{number}"
        stood = ledger.standing.get(name)
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
            assert not ledger.standing
        gained = ledger.spent - before
        assert min(gained.requests, gained.prompt_tokens, gained.completion_tokens) >= 0
        if action in ("replace", "release") and stood is not None:
            assert gained == Consumption(requests=1)  # sent, and not billed
        if action in ("reserve", "give_up") and stood is not None:
            assert gained == stood  # nobody will ever say
        assert ledger.reserved == sum(ledger.standing.values(), NOTHING)
        assert ledger.committed == ledger.spent + ledger.reserved


def test_a_prompt_that_was_counted_above_its_bound_raises_the_next_bounds() -> None:
    ledger = Ledger()
    budget = metered(ledger, Limits())
    budget.begin(request())
    reserved = ledger.reserved.prompt_tokens
    ledger.settle(request().id, Usage(prompt_tokens=reserved + 77, completion_tokens=5))
    budget.begin(request("generate/000002"))
    assert ledger.reserved.prompt_tokens == reserved + 77


def test_a_reply_that_was_longer_than_its_limit_raises_the_next_bounds() -> None:
    ledger = Ledger()
    budget = metered(ledger, Limits())
    budget.begin(request(limit=50))
    ledger.settle(request().id, Usage(prompt_tokens=5, completion_tokens=60))
    budget.begin(request("generate/000002", limit=50))
    assert ledger.reserved.completion_tokens == 60


def test_bounds_follow_the_largest_excess_whatever_was_reserved_for_it() -> None:
    ledger = Ledger()
    budget = metered(ledger, Limits())
    raw = worst_case(request()).prompt_tokens
    for excess in (77, 100, 90):
        budget.begin(request())
        ledger.settle(request().id, Usage(prompt_tokens=raw + excess, completion_tokens=5))
    budget.begin(request())
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
def test_whatever_happens_what_is_committed_stays_within_every_limit(
    actions: list[tuple[str, int, int, int]],
    cost: Decimal | None,
    tokens: int | None,
    requests: int | None,
) -> None:
    ledger = Ledger()
    limits = Limits(cost=cost, tokens=tokens, requests=requests, price=PRICE)
    budget = metered(ledger, limits)
    for action, number, prompt, completion in actions:
        asked = request(f"generate/{number}")
        if action == "reserve" and asked.id not in ledger.standing:
            if budget.admits(asked):
                budget.begin(asked)
        elif action in ("reserve", "replace"):
            with suppress(LimitReachedError):
                budget.reserve(asked, is_billed=action == "reserve")
        elif action == "settle":
            used = Usage(
                prompt_tokens=min(prompt, _MOST.prompt_tokens),
                completion_tokens=min(completion, _MOST.completion_tokens),
            )
            if asked.id in ledger.standing:
                ledger.settle(asked.id, used)
        elif action == "release":
            budget.release(asked)
        elif action == "crash":
            ledger.give_all_up()
        committed = ledger.committed
        assert tokens is None or committed.tokens <= tokens
        assert requests is None or committed.requests <= requests
        assert cost is None or PRICE.cost(committed) <= cost


def test_an_attempt_that_was_not_billed_leaves_its_room_to_the_next() -> None:
    ledger = Ledger()
    budget = metered(ledger, Limits(tokens=_MOST.tokens))  # room for one
    budget.begin(request())
    budget.reserve(request(), is_billed=False)
    assert ledger.committed.tokens == _MOST.tokens
    with pytest.raises(LimitReachedError, match="--max-tokens-total is reached: 0 of"):
        budget.reserve(request(), is_billed=True)


def test_what_is_kept_back_is_not_spent_on_anything_else() -> None:
    budget = metered(Ledger(), Limits(requests=5))
    budget.kept_back = lambda _: Consumption(requests=5)
    assert not budget.admits(request())
    budget.kept_back = lambda _: Consumption(requests=4)
    assert budget.admits(request())


@pytest.mark.parametrize("is_billed", [False, True])
def test_what_is_kept_back_is_not_spent_on_further_attempts_either(is_billed: bool) -> None:
    budget = metered(Ledger(), Limits(requests=6))
    budget.kept_back = lambda _: Consumption(requests=4)
    budget.begin(request())
    budget.reserve(request(), is_billed=is_billed)
    with pytest.raises(LimitReachedError):
        budget.reserve(request(), is_billed=is_billed)


def test_a_limit_of_tokens_needs_replies_that_have_a_limit() -> None:
    limitless = [Sampling(model="m", max_tokens=50), Sampling(model="m")]
    config = RunConfig(model="m", max_tokens_total=1000)
    with pytest.raises(ConfigError, match="max_tokens_total: can only be kept where replies have"):
        limits_of(config, limitless)
    assert limits_of(RunConfig(model="m", max_requests=5), limitless).requests == 5


def test_without_any_limit_everything_is_admitted_and_still_on_record() -> None:
    ledger = Ledger()
    budget = metered(ledger, Limits())
    assert not budget.limited_by
    assert budget.admits(request())
    budget.begin(request())
    assert ledger.reserved == _MOST
