"""Each rule objects to what it is for, and to nothing beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from selfinstruct.filters import RULES, objection
from selfinstruct.records import Reason
from selfinstruct.seeds import read_seed_tasks


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("", Reason.EMPTY),
        ("  \n", Reason.EMPTY),
        ("?!…", Reason.NO_WORDS),
        ("Name a river.", Reason.TOO_SHORT),
        (" ".join(["word"] * 151), Reason.TOO_LONG),
        ("Describe what the picture shows.", Reason.NOT_FOR_TEXT_MODEL),
        ("Go to the shop and buy bread.", Reason.NOT_FOR_TEXT_MODEL),
        ("Draw a house with two doors.", Reason.NOT_FOR_TEXT_MODEL),
        ("Write a program that sorts numbers.", Reason.WRITE_A_PROGRAM),
        (": name a river in Spain", Reason.LEADING_PUNCTUATION),
        ("- name a river in Spain", Reason.LEADING_PUNCTUATION),
        ("Name a river in Spain.", None),
        (" ".join(["word"] * 150), None),
        ("Describe a graphic novel to a child.", None),
        ("Explain how to plotless films end.", None),
        ("¿Qué río pasa por Sevilla?", None),
        ("“To be or not to be” – who says it?", None),
        ("Please write a program that sorts.", None),
    ],
)
def test_the_first_rule_that_objects_names_the_reason(
    instruction: str, reason: Reason | None
) -> None:
    assert objection(instruction) == reason


@given(st.text())
def test_rules_judge_any_text(text: str) -> None:
    reason = objection(text)
    assert reason is None or reason in {name for name, _ in RULES}


def test_our_own_seed_tasks_pass_all_rules() -> None:
    seeds = read_seed_tasks(ROOT / "seed_tasks.jsonl")
    assert {seed.instruction: objection(seed.instruction) for seed in seeds} == {
        seed.instruction: None for seed in seeds
    }
