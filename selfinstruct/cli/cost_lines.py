"""How money and what it buys look on a terminal."""

from collections.abc import Iterable
from decimal import Decimal

from selfinstruct.cli.expected_cost import about
from selfinstruct.cost import ExpectedUse
from selfinstruct.pipeline.marginal_cost import RECENT, MarginalCost
from selfinstruct.pipeline.summary import RunSummary
from selfinstruct.text import dollars


def cost_lines(summary: RunSummary) -> Iterable[str]:
    """What a run has cost, what an instruction costs now, and what the next ones will."""
    ahead, unheard = summary.marginal_cost, summary.unheard
    if ahead.cost_usd is not None:
        each = ahead.usd_per_accepted
        per = f"{dollars(each)} an instruction" if each else ""
        recently = ahead.recent_usd_per_accepted
        if recently and summary.grown > RECENT:
            per += f", {dollars(recently)} of the last {RECENT}"
        yield _line("cost", dollars(ahead.cost_usd), per)
    elif summary.spent.tokens:
        yield _line("cost", "unknown", "give --price-input and --price-output, or --free")
    if (expected_use := summary.expected_use) is not None:
        yield _as_expected(summary, expected_use)
    if unheard.requests:
        attempts = f"{unheard.requests:,} attempt" + ("s" if unheard.requests > 1 else "")
        detail = f"tokens at most, of {attempts} whose consumption nobody told"
        yield _line("  of it unheard", f"{unheard.tokens:,}", detail)
    if summary.grown > RECENT:
        share = f"{ahead.recent_acceptance:.0%}"
        yield _line("accepted of late", share, f"of the candidates, over the last {RECENT}")
    if (amount := next_thousand(ahead)) is not None:
        when = doubling(ahead.doubles_at)
        twice = f"a thousand will cost twice the last {when}" if when else ""
        yield _line("next thousand", amount, twice or "the cost of an instruction hardly grows")


def next_thousand(ahead: MarginalCost) -> str | None:
    """What the next thousand instructions will probably cost: dollars, or tokens where nothing costs."""
    if ahead.cost_usd and ahead.next_thousand_usd:
        return dollars(ahead.next_thousand_usd)
    tokens = ahead.next_thousand_tokens
    return f"{tokens / 1e6:.2f} M tokens" if tokens is not None else None


def doubling(number: int | None) -> str:
    """When a thousand will cost twice what the last thousand did: "at some 81,000"; "" if hardly ever."""
    return "" if number is None or number > _OUT_OF_SIGHT else f"at some {about(number)}"


_OUT_OF_SIGHT = 10**7


def _as_expected(summary: RunSummary, expected_use: ExpectedUse) -> str:
    """What was expected, and how that compares."""
    if expected_use.usd is not None and expected_use.usd[1]:
        low, expected, high = expected_use.usd
        spent = summary.cost_usd
        shown = [dollars(amount) for amount in (expected, low, high)]
    else:
        low, expected, high = map(Decimal, expected_use.tokens)
        spent = Decimal(summary.spent.tokens)
        shown = [f"{amount / 10**6:.2f} M" for amount in (expected, low, high)]
    times = f"; it is {spent / expected:.2f} times that" if spent and expected else ""
    return _line("  it was expected", shown[0], f"({shown[1]} to {shown[2]}){times}")


def _line(name: str, value: str, detail: str = "") -> str:
    return f"  {name:<22}{value:>11}  {detail}".rstrip()
