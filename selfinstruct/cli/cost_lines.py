"""Format the cost of a run for a terminal."""

from collections.abc import Iterable
from decimal import Decimal

from selfinstruct.cli.expected_cost import about
from selfinstruct.cli.text_layout import row
from selfinstruct.cost import ExpectedUse
from selfinstruct.display import counted, dollars
from selfinstruct.pipeline.marginal_cost import RECENT, MarginalCost
from selfinstruct.pipeline.summary import RunSummary


def cost_lines(summary: RunSummary) -> Iterable[str]:
    """Yield lines about the cost of a run, the cost per instruction, and the cost of further instructions."""
    ahead, unheard = summary.marginal_cost, summary.unheard
    if ahead.cost_usd is not None:
        each = ahead.usd_per_accepted
        per = f"{dollars(each)} an instruction" if each else ""
        recently = ahead.recent_usd_per_accepted
        if recently and summary.grown > RECENT:
            per += f", {dollars(recently)} of the last {RECENT}"
        yield row("cost", dollars(ahead.cost_usd), per)
    elif summary.spent.tokens:
        yield row("cost", "unknown", "add --price-input and --price-output, or --free")
    if (expected_use := summary.expected_use) is not None:
        yield _as_expected(summary, expected_use)
    if unheard.requests:
        attempts = counted(unheard.requests, "attempt")
        detail = f"tokens at most, in {attempts} without a reply"
        yield row("  unanswered", unheard.tokens, detail)
    if summary.grown > RECENT:
        share = f"{ahead.recent_acceptance:.0%}"
        yield row("accepted recently", share, f"of the candidates, over the last {RECENT}")
    if (amount := next_thousand(ahead)) is not None:
        when = doubling(ahead.doubles_at)
        trend = f"the cost doubles {when} instructions" if when else "the cost hardly grows"
        yield row("next thousand", amount, trend)


def next_thousand(ahead: MarginalCost) -> str | None:
    """Return the cost of the next thousand instructions, in dollars, or in tokens if the price is unknown.

    Returns None if no cost can be predicted.
    """
    if ahead.cost_usd and ahead.next_thousand_usd:
        return dollars(ahead.next_thousand_usd)
    tokens = ahead.next_thousand_tokens
    return f"{tokens / 1e6:.2f} M tokens" if tokens is not None else None


def doubling(number: int | None) -> str:
    """Return at how many instructions the cost per instruction doubles, such as "at about 81,000".

    Returns "" if the number is unknown or above ten million.
    """
    return "" if number is None or number > _OUT_OF_SIGHT else f"at about {about(number)}"


_OUT_OF_SIGHT = 10**7


def _as_expected(summary: RunSummary, expected_use: ExpectedUse) -> str:
    """Return a row with the expected cost, and the actual cost as a multiple of it."""
    if expected_use.usd is not None and expected_use.usd[1]:
        low, expected, high = expected_use.usd
        spent = summary.cost_usd
        shown = [dollars(amount) for amount in (expected, low, high)]
    else:
        low, expected, high = map(Decimal, expected_use.tokens)
        spent = Decimal(summary.spent.tokens)
        shown = [f"{amount / 10**6:.2f} M" for amount in (expected, low, high)]
    times = f"; actual: {spent / expected:.2f} times that" if spent and expected else ""
    return row("  expected", shown[0], f"({shown[1]} to {shown[2]}){times}")
