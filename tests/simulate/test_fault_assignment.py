"""Which faults an attempt gets depends only on the plan, the request and the attempt's number."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from selfinstruct.simulate.faults.assignment import Assigner, Assignment
from selfinstruct.simulate.faults.plan import (
    AttemptFault,
    FaultPlan,
    Hang,
    Outage,
    Plain,
    RequestFault,
    Status,
)

PATH = "/v1/chat/completions"
PLAN = FaultPlan(
    seed=7,
    per_attempt=(Status(share=0.3, status=429), Hang(share=0.1), Plain(fault="drop", share=0.1)),
    per_request=(RequestFault(share=0.1, fault="never"), RequestFault(share=0.2, fault="length")),
)


def assigned(plan: FaultPlan, arrivals: list[str]) -> dict[tuple[str, int | None], Assignment]:
    """Return each attempt's assignment, by body and attempt number, for bodies that arrive in this order."""
    assigner = Assigner(plan)
    both = ((body, assigner.assign(PATH, body)) for body in arrivals)
    return {(body, assignment.attempt): assignment for body, assignment in both}


@settings(max_examples=examples(25))
@given(st.randoms(use_true_random=False))
def test_the_order_of_arrivals_changes_nothing(rng: random.Random) -> None:
    arrivals = [f"request {number % 60}" for number in range(300)]
    before = assigned(PLAN, arrivals)
    rng.shuffle(arrivals)
    assert assigned(PLAN, arrivals) == before


def test_attempts_are_counted_per_path_and_body() -> None:
    assigner = Assigner(PLAN)
    seen = [assigner.assign(path, body).attempt for path in "ab" for body in "xyx"]
    assert seen == [1, 1, 2, 1, 1, 2]


def test_the_path_and_the_seed_matter() -> None:
    def names(seed: int, path: str) -> list[str | None]:
        assigner = Assigner(FaultPlan(seed=seed, per_attempt=PLAN.per_attempt))
        return [assigner.assign(path, str(number)).name for number in range(50)]

    assert names(1, "a") == names(1, "a")
    assert names(1, "a") != names(1, "b")
    assert names(1, "a") != names(2, "a")


def test_shares_are_kept() -> None:
    """Check that each share is within four standard deviations over 3,000 requests."""
    found = [Assigner(PLAN).assign(PATH, str(number)) for number in range(3000)]
    per_request = Counter("never" if a.name == "never" else a.content_fault for a in found)
    assert 234 < per_request["never"] < 366
    assert 512 < per_request["length"] < 688
    per_attempt = Counter(a.name for a in found)
    # The fault "never", which a tenth of the requests get, replaces the other faults.
    assert 712 < per_attempt["status"] < 908
    assert 208 < per_attempt["hang"] < 332
    assert 208 < per_attempt["drop"] < 332


def test_shares_of_one_leave_no_attempt() -> None:
    plan = FaultPlan(per_attempt=(Plain(fault="drop", share=0.5), Plain(fault="reset", share=0.5)))
    assert all(Assigner(plan).assign(PATH, str(number)).fault for number in range(500))


def test_another_attempt_may_succeed() -> None:
    assigner = Assigner(FaultPlan(per_attempt=(Plain(fault="drop", share=0.5),), at_most=100))
    assert 20 < sum(assigner.assign(PATH, "body").fault is None for _ in range(100)) < 80


@settings(max_examples=examples(25))
@given(st.integers(0, 5), st.integers(0, 1000))
def test_faults_per_request_have_a_maximum(at_most: int, seed: int) -> None:
    assigner = Assigner(
        FaultPlan(seed=seed, per_attempt=(Plain(fault="drop", share=0.7),), at_most=at_most)
    )
    faulty = [assigner.assign(PATH, "body").fault is not None for _ in range(40)]
    assert sum(faulty) == at_most
    assert not any(faulty[25:])


def test_never_affects_every_attempt() -> None:
    plan = FaultPlan(per_request=(RequestFault(share=1, fault="never"),), at_most=2)
    assigner = Assigner(plan)
    for attempt in range(1, 10):
        fault = Status(share=1, status=500)
        expected = Assignment(attempt=attempt, fault=fault, name="never")
        assert assigner.assign(PATH, "body") == expected


def test_content_faults_do_not_change() -> None:
    assigner = Assigner(PLAN)
    for body in map(str, range(100)):
        assert len({assigner.assign(PATH, body).content_fault for _ in range(5)}) == 1


def test_outages_count_arrivals() -> None:
    outages = (
        Outage(after=3, attempts=2),
        Outage(after=6, attempts=1, refuse="hang"),
        Outage(after=7, attempts=1, refuse="drop"),
        Outage(after=8, attempts=1, status=500),
    )
    assigner = Assigner(FaultPlan(outages=outages, at_most=0))
    found = [assigner.assign(PATH, "body") for _ in range(10)]
    down = Status(share=1, status=503)
    expected: list[AttemptFault | None] = [
        *[None] * 3,
        *(
            down,
            down,
            None,
            Hang(share=1),
            Plain(fault="drop", share=1),
            Status(share=1, status=500),
            None,
        ),
    ]
    assert [assignment.fault for assignment in found] == expected
    assert {assignment.name for assignment in found if assignment.fault} == {"outage"}


def test_an_outage_changes_nothing_outside() -> None:
    arrivals = [f"request {number % 20}" for number in range(200)]
    without = assigned(PLAN, arrivals)
    outage = Outage(after=50, attempts=60)
    within = assigned(PLAN.model_copy(update={"outages": (outage,)}), arrivals)
    differing = [key for key in without if without[key] != within[key]]
    assert 0 < len(differing) <= 60
    assert all(within[key].name == "outage" for key in differing)
