"""The result of an estimate: the rest of a run, what the run has consumed, and the cost of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.analysis.estimate.assumptions import Assumptions
from selfinstruct.analysis.estimate.ranges import (
    Amounts,
    Money,
    Range,
    exactly,
    range_json,
)
from selfinstruct.budget.prices import Quotation
from selfinstruct.cost import Consumption, ExpectedUse
from selfinstruct.records import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The requests, tokens, dollars and hours that a run still needs."""

    target: int
    """Instructions to reach."""
    accepted: int
    """Instructions accepted so far."""
    stages: Mapping[Stage, Amounts]
    """Consumption still to come, by stage."""
    so_far: Consumption
    """Consumption of all earlier starts of the run."""
    hours: Range[float]
    """Time still to come, at the run's concurrency and limits."""
    quotation: Quotation | None
    """None if the price is unknown."""
    assumptions: Assumptions

    @property
    def left(self) -> Amounts:
        """Consumption still to come."""
        return sum(self.stages.values(), exactly(Consumption()))

    @property
    def total(self) -> Amounts:
        """Consumption of all starts together."""
        return self.left + exactly(self.so_far)

    def usd(self, amounts: Amounts) -> Money | None:
        """Return the cost in US dollars; None if the price is unknown."""
        return amounts.each(self.quotation.price.cost) if self.quotation is not None else None

    @property
    def left_usd(self) -> Money | None:
        """US dollars still to spend; None if the price is unknown."""
        return self.usd(self.left)

    @property
    def total_usd(self) -> Money | None:
        """US dollars for all starts together; None if the price is unknown."""
        return self.usd(self.total)

    @property
    def left_batch_usd(self) -> Money | None:
        """US dollars still to spend with the vendor's Batch API; None without a known discount."""
        money = self.left_usd
        if money is None or self.quotation is None or self.quotation.batch_discount is None:
            return None
        share = 1 - self.quotation.batch_discount
        return money.each(lambda dollars: dollars * share)

    @property
    def expected_use(self) -> ExpectedUse:
        """The totals in the form that a journal stores."""
        tokens, usd = self.total.each(lambda consumed: consumed.tokens), self.total_usd
        return ExpectedUse(
            target=self.target,
            tokens=(tokens.low, tokens.expected, tokens.high),
            usd=(usd.low, usd.expected, usd.high) if usd is not None else None,
        )

    def amounts_json(self, amounts: Amounts) -> dict[str, Any]:
        """Return requests, tokens and dollars as plain numbers; dollars are null if unknown."""
        usd = self.usd(amounts)
        counts = {
            name: {end: getattr(getattr(amounts, end), name) for end in ("low", "expected", "high")}
            for name in ("requests", "prompt_tokens", "completion_tokens")
        }
        return counts | {"usd": range_json(usd) if usd is not None else None}

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, each with its low end, expected value and high end."""
        return {
            "target": self.target,
            "accepted": self.accepted,
            "left": self.amounts_json(self.left),
            "total": self.amounts_json(self.total),
            "hours_left": range_json(self.hours),
        }
