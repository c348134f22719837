"""Who meets which fault: settled by request and attempt, and by nothing else."""

import dataclasses
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from selfinstruct.simulate.faults.assignment import Fate, Fates
from selfinstruct.simulate.faults.plan import (
    AttemptFault,
    Drop,
    FaultPlan,
    Hang,
    Outage,
    RequestFault,
    Reset,
    Status,
)

PATH = "/v1/chat/completions"
PLAN = FaultPlan(
    seed=7,
    per_attempt=(Status(share=0.3, status=429), Hang(share=0.1), Drop(share=0.1)),
    per_request=(RequestFault(share=0.1, fault="never"), RequestFault(share=0.2, fault="length")),
)


def met(plan: FaultPlan, arrivals: list[str]) -> dict[tuple[str, int], Fate]:
    """The fate of each attempt, by request and number, when requests arrive in this order."""
    fates = Fates(plan)
    found = {}
    for body in arrivals:
        fate = fates.of(PATH, body)
        assert fate.attempt is not None
        found[body, fate.attempt] = fate
    return found


@settings(max_examples=examples(25))
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_fate(chance: random.Random) -> None:
    arrivals = [f"request {number % 60}" for number in range(300)]
    before = met(PLAN, arrivals)
    chance.shuffle(arrivals)
    assert met(PLAN, arrivals) == before


def test_attempts_are_counted_for_path_and_body() -> None:
    fates = Fates(PLAN)
    seen = [fates.of(path, body).attempt for path in "ab" for body in "xyx"]
    assert seen == [1, 1, 2, 1, 1, 2]


def test_the_path_and_the_seed_matter() -> None:
    def sequence(seed: int, path: str) -> list[str | None]:
        fates = Fates(FaultPlan(seed=seed, per_attempt=PLAN.per_attempt))
        return [fates.of(path, str(number)).name for number in range(50)]

    assert sequence(1, "a") == sequence(1, "a")
    assert sequence(1, "a") != sequence(1, "b")
    assert sequence(1, "a") != sequence(2, "a")


def test_shares_hold() -> None:
    """Each within four standard deviations, over 3,000 requests."""
    fates = [Fates(PLAN).of(PATH, str(number)) for number in range(3000)]
    lasting = Counter("never" if fate.name == "never" else fate.content_fault for fate in fates)
    assert 234 < lasting["never"] < 366
    assert 512 < lasting["length"] < 688
    # One in ten is "never", whatever befalls its attempt.
    passing = Counter(fate.name for fate in fates)
    assert 712 < passing["status"] < 908
    assert 208 < passing["hang"] < 332
    assert 208 < passing["drop"] < 332


def test_shares_that_add_up_to_one_spare_nobody() -> None:
    plan = FaultPlan(per_attempt=(Drop(share=0.5), Reset(share=0.5)))
    fates = [Fates(plan).of(PATH, str(number)) for number in range(500)]
    assert all(fate.fault for fate in fates)


def test_another_attempt_may_be_spared() -> None:
    fates = Fates(FaultPlan(per_attempt=(Drop(share=0.5),), at_most=100))
    drawn = [fates.of(PATH, "body").fault is None for _ in range(100)]
    assert 20 < sum(drawn) < 80


@settings(max_examples=examples(25))
@given(st.integers(0, 5), st.integers(0, 1000))
def test_a_request_meets_no_more_faults_than_the_plan_allows(at_most: int, seed: int) -> None:
    fates = Fates(FaultPlan(seed=seed, per_attempt=(Drop(share=0.7),), at_most=at_most))
    faulty = [fates.of(PATH, "body").fault is not None for _ in range(40)]
    assert sum(faulty) == at_most
    assert not any(faulty[25:])


def test_never_is_at_every_attempt() -> None:
    plan = FaultPlan(per_request=(RequestFault(share=1, fault="never"),), at_most=2)
    fates = Fates(plan)
    for attempt in range(1, 10):
        fate = fates.of(PATH, "body")
        assert fate == Fate(
            attempt=attempt, fault=Status(share=1, status=500), name="never", content_fault=None
        )


def test_what_is_amiss_with_the_content_does_not_change() -> None:
    fates = Fates(PLAN)
    for body in map(str, range(100)):
        assert len({fates.of(PATH, body).content_fault for _ in range(5)}) == 1


def test_an_outage_takes_in_so_many_arrivals() -> None:
    """Whatever `at_most` is, and whichever requests they are."""
    outages = (
        Outage(after=3, attempts=2),
        Outage(after=6, attempts=1, refuse="hang"),
        Outage(after=7, attempts=1, refuse="drop"),
        Outage(after=8, attempts=1, status=500),
    )
    fates = Fates(FaultPlan(outages=outages, at_most=0))
    faults = [fates.of(PATH, "body") for _ in range(10)]
    down = Status(share=1, status=503)
    expected: list[AttemptFault | None] = [
        *[None] * 3,
        down,
        down,
        None,
        Hang(share=1),
        Drop(share=1),
        Status(share=1, status=500),
        None,
    ]
    assert [fate.fault for fate in faults] == expected
    assert {fate.name for fate in faults if fate.fault} == {"outage"}


def test_an_outage_changes_no_fate_outside_it() -> None:
    arrivals = [f"request {number % 20}" for number in range(200)]
    without = met(PLAN, arrivals)
    outage = Outage(after=50, attempts=60)
    within = met(dataclasses.replace(PLAN, outages=(outage,)), arrivals)
    differing = [key for key in without if without[key] != within[key]]
    assert 0 < len(differing) <= 60
    assert all(within[key].name == "outage" for key in differing)
