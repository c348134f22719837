"""An estimate, as it is handed on: what is left of a run, what it has consumed, and what both cost."""

from dataclasses import dataclass
from typing import Any

from selfinstruct.analysis.estimate.assumptions import Assumptions
from selfinstruct.analysis.estimate.ranges import Amounts, Money, Range
from selfinstruct.budget.prices import Quotation
from selfinstruct.cost import Consumption, ExpectedUse
from selfinstruct.records import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEstimate:
    """What is left of one stage."""

    stage: Stage
    amounts: Amounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is left of a run, and what it has consumed already."""

    target: int
    """Instructions to reach."""
    accepted: int
    """Instructions that there are."""
    stages: tuple[StageEstimate, ...]
    so_far: Consumption
    """What the run has consumed, in all its starts."""
    hours: Range
    """What is left will take, at the run's concurrency and limits."""
    quotation: Quotation | None
    """None where the price is unknown."""
    assumptions: Assumptions

    @property
    def left(self) -> Amounts:
        """What the run will still consume."""
        return sum((stage.amounts for stage in self.stages), Amounts())

    @property
    def total(self) -> Amounts:
        """What the run will have consumed, in all its starts."""
        return self.left + self.so_far

    @property
    def left_usd(self) -> Money | None:
        """US dollars still to spend; None where the price is unknown."""
        return self.left.usd(self.quotation.price) if self.quotation is not None else None

    @property
    def total_usd(self) -> Money | None:
        """US dollars in all its starts; None where the price is unknown."""
        return self.total.usd(self.quotation.price) if self.quotation is not None else None

    @property
    def left_batch_usd(self) -> Money | None:
        """What is left by the vendor's Batch API; None where there is none, or its price is unknown."""
        money = self.left_usd
        if money is None or self.quotation is None or self.quotation.batch_discount is None:
            return None
        return money.times(1 - self.quotation.batch_discount)

    @property
    def expected_use(self) -> ExpectedUse:
        """The same in short, for a journal."""
        total, usd = self.total, self.total_usd
        return ExpectedUse(
            target=self.target,
            tokens=(total.low.tokens, total.expected.tokens, total.high.tokens),
            usd=(usd.low, usd.expected, usd.high) if usd is not None else None,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, each with its low end, what is expected, and its high end."""
        return {
            "target": self.target,
            "accepted": self.accepted,
            "left": amounts_json(self.left) | {"usd": money_json(self.left_usd)},
            "total": amounts_json(self.total) | {"usd": money_json(self.total_usd)},
            "hours_left": range_json(self.hours),
        }


def range_json(found: Range) -> dict[str, float]:
    """Plain numbers."""
    return {
        "low": round(found.low, 6),
        "expected": round(found.expected, 6),
        "high": round(found.high, 6),
    }


def money_json(money: Money | None) -> dict[str, float] | None:
    """Plain numbers of US dollars, rounded to millionths."""
    if money is None:
        return None
    return {
        "low": round(float(money.low), 6),
        "expected": round(float(money.expected), 6),
        "high": round(float(money.high), 6),
    }


def amounts_json(amounts: Amounts) -> dict[str, Any]:
    """Plain numbers."""
    ends = {"low": amounts.low, "expected": amounts.expected, "high": amounts.high}
    return {
        name: {end: getattr(consumption, name) for end, consumption in ends.items()}
        for name in ("requests", "prompt_tokens", "completion_tokens")
    }
