"""The result of an estimate: what a run still needs, what it has consumed, and the cost of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.analysis.estimate.assumptions import Assumptions
from selfinstruct.analysis.estimate.ranges import Amounts, Money, Range, exactly, range_json
from selfinstruct.budget.prices import Quotation
from selfinstruct.cost import Consumption, ExpectedUse
from selfinstruct.records import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The requests, tokens, dollars and hours that a run still needs."""

    target: int
    """Number of instructions at which the run is complete."""
    accepted: int
    """Number of instructions accepted so far."""
    stages: Mapping[Stage, Amounts]
    """Requests and tokens that the run still needs, by stage."""
    so_far: Consumption
    """Requests and tokens that the run has consumed so far."""
    hours: Range[float]
    """Hours that the run still needs, with its concurrency and rate limits."""
    quotation: Quotation | None
    """Price of the model; None if the price is unknown."""
    assumptions: Assumptions

    @property
    def left(self) -> Amounts:
        """Requests and tokens that the run still needs."""
        return sum(self.stages.values(), exactly(Consumption()))

    @property
    def total(self) -> Amounts:
        """Requests and tokens of the whole run: consumed so far plus still needed."""
        return self.left + exactly(self.so_far)

    def usd(self, amounts: Amounts) -> Money | None:
        """Return the cost of `amounts` in US dollars; None if the price is unknown."""
        return amounts.each(self.quotation.price.cost) if self.quotation is not None else None

    @property
    def left_usd(self) -> Money | None:
        """US dollars that the run still needs; None if the price is unknown."""
        return self.usd(self.left)

    @property
    def total_usd(self) -> Money | None:
        """US dollars for the whole run; None if the price is unknown."""
        return self.usd(self.total)

    @property
    def left_batch_usd(self) -> Money | None:
        """US dollars that the rest would cost with the vendor's Batch API; None without a known discount."""
        money = self.left_usd
        if money is None or self.quotation is None or self.quotation.batch_discount is None:
            return None
        share = 1 - self.quotation.batch_discount
        return money.each(lambda dollars: dollars * share)

    @property
    def expected_use(self) -> ExpectedUse:
        """The totals of the whole run, in the form in which a journal stores them."""
        tokens, usd = self.total.each(lambda consumed: consumed.tokens), self.total_usd
        return ExpectedUse(
            target=self.target,
            tokens=(tokens.low, tokens.expected, tokens.high),
            usd=(usd.low, usd.expected, usd.high) if usd is not None else None,
        )

    def amounts_json(self, amounts: Amounts) -> dict[str, Any]:
        """Return requests, tokens and dollars as JSON numbers. Dollars are None if the price is unknown."""
        usd = self.usd(amounts)
        counts = {
            name: {end: getattr(getattr(amounts, end), name) for end in ("low", "expected", "high")}
            for name in ("requests", "prompt_tokens", "completion_tokens")
        }
        return counts | {"usd": range_json(usd) if usd is not None else None}

    def as_json(self) -> dict[str, Any]:
        """Return the estimate as JSON. Each estimated number has the keys low, expected and high."""
        return {
            "target": self.target,
            "accepted": self.accepted,
            "left": self.amounts_json(self.left),
            "total": self.amounts_json(self.total),
            "hours_left": range_json(self.hours),
        }
