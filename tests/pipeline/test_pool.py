"""Test the pool, and random samples of its tasks."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import make_seed_task

from selfinstruct.pipeline import stable_random
from selfinstruct.pipeline.pool import Pool
from selfinstruct.records import Task


def make_pool(generated: int) -> Pool:
    pool = Pool([make_seed_task(n) for n in range(12)])
    for n in range(generated):
        pool.add(Task(id=f"task_{n}", instruction=f"Task {n}.", origin="generated"))
    return pool


@given(st.integers(0, 9), st.integers(0, 9), st.integers())
def test_samples_mix_seed_and_generated_tasks(generated: int, upto: int, seed: int) -> None:
    pool = make_pool(generated)
    upto = min(upto, generated)
    drawn = pool.sample(Random(seed), count=8, generated=2, size=12 + upto)
    ids = [task.id for task in drawn]
    assert len(set(ids)) == 8
    assert sum(task.origin == "generated" for task in drawn) == min(2, upto)
    assert set(ids) <= {task.id for task in list(pool)[: 12 + upto]}


@given(st.integers(0, 30), st.integers(0, 30), st.integers())
def test_distinct_numbers_are_distinct_and_in_range(count: int, limit: int, seed: int) -> None:
    count = min(count, limit)
    drawn = stable_random.distinct(Random(seed), count, below=limit)
    assert len(set(drawn)) == len(drawn) == count
    assert all(0 <= number < limit for number in drawn)


@given(st.lists(st.integers()), st.integers())
def test_shuffling_keeps_all_items(items: list[int], seed: int) -> None:
    assert sorted(stable_random.shuffled(Random(seed), items)) == sorted(items)


def test_draws_never_change() -> None:
    """Check that these draws stay the same in all versions, because existing runs depend on them."""
    rng = Random("7/generate/1")
    assert stable_random.distinct(rng, 5, below=175) == [44, 43, 165, 106, 133]
    assert stable_random.shuffled(rng, range(8)) == [4, 0, 5, 3, 1, 2, 6, 7]


def test_draws_are_uniform() -> None:
    """Check that each of ten numbers is drawn about equally often."""
    counts = [0] * 10
    for n in range(5000):
        for number in stable_random.distinct(Random(f"{n}"), 3, below=10):
            counts[number] += 1
    assert all(abs(count - 1500) < 150 for count in counts)


def test_a_task_is_in_the_pool_once() -> None:
    pool = make_pool(1)
    with pytest.raises(ValueError, match="is already in the pool"):
        pool.add(Task(id="task_0", instruction="Again.", origin="generated"))


def test_updating_a_task_keeps_its_position() -> None:
    pool = make_pool(2)
    pool.update("task_0", is_classification=True)
    assert [task.id for task in pool.generated] == ["task_0", "task_1"]
    assert pool.by_id("task_0").is_classification
    assert pool[12].is_classification
