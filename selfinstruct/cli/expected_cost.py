"""Announce the expected cost of a run, and ask for confirmation before an expensive one.

Also formats estimated numbers for all commands.
"""

import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import typer

from selfinstruct.cli.output import is_terminal, say
from selfinstruct.cli.signals import INTERRUPTED
from selfinstruct.display import counted

if TYPE_CHECKING:
    from selfinstruct.analysis.estimate.forecast import Basis
    from selfinstruct.analysis.estimate.ranges import Money, Range
    from selfinstruct.analysis.estimate.results import Estimate
    from selfinstruct.runner.directory import Run

T = TypeVar("T")

UNKNOWN = "cost unknown: add --price-input and --price-output, or --free"
_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


class Announcement:
    """Announces once what the rest of a run will cost, and asks if that is more than `confirm_above`."""

    def __init__(self, *, yes: bool) -> None:
        """Prepare the announcement. If `yes` is true, the user has agreed in advance and is not asked."""
        self._yes = yes
        self._is_made = False

    @property
    def may_ask(self) -> bool:
        """True if there is a user at a terminal who can be asked and has not agreed in advance."""
        return not self._yes and is_terminal(sys.stdin) and is_terminal(sys.stderr)

    def make(self, run: "Run") -> "Estimate":
        """Return the estimate. The first call also announces it, and asks the user if necessary.

        If the user declines, exits with 130. No request was sent until then.
        """
        from selfinstruct.analysis.estimate import basis_of
        from selfinstruct.analysis.estimate.forecast import forecast

        basis = basis_of(run)
        estimate = forecast(basis)
        if not self._is_made:
            self._is_made = True
            say(f"expected: {headline(estimate, base_url=run.config.base_url)}")
            for line in limit_lines(basis, estimate):
                say(line)
            dollars, threshold = estimate.left_usd, Decimal(repr(run.config.confirm_above))
            if self.may_ask and dollars is not None and dollars.expected > threshold:
                _ask()
        return estimate


def _ask() -> None:
    try:
        is_wanted = typer.confirm("Continue?", err=True)
    except typer.Abort:
        is_wanted = False
        say("")
    if not is_wanted:
        say("Nothing was sent. For details: `selfinstruct estimate` with the same flags.")
        raise typer.Exit(INTERRUPTED)


def headline(estimate: "Estimate", *, base_url: str | None = None) -> str:
    """Return the estimate as one line, such as "1,000 instructions: $0.77 (0.49–1.38), 3 min (1–17)"."""
    missing = max(0, estimate.target - estimate.accepted)
    what = counted(missing, "instruction")
    if estimate.accepted:
        what = what.replace(" ", " more ", 1) if missing else "unfinished tasks"
    parts = [cost(estimate, base_url=base_url), hours_range(estimate.hours)]
    return f"{what}: {', '.join(part for part in parts if part)}"


def left_line(estimate: "Estimate", *, base_url: str | None) -> str:
    """Return the estimate for the rest of a stopped run, as one line."""
    return f"left to do: {headline(estimate, base_url=base_url)}"


def cost(estimate: "Estimate", *, base_url: str | None = None) -> str:
    """Return the cost of the rest; "" if it is unknown and the server is on the local network."""
    dollars = estimate.left_usd
    if dollars is None:
        return "" if _is_near(base_url) else UNKNOWN
    return money_range(dollars) if dollars.high else "free"


def limit_lines(basis: "Basis", estimate: "Estimate") -> list[str]:
    """Return a line for each limit that will probably stop the run before it reaches its target."""
    from selfinstruct.analysis.estimate.forecast import reach

    lines = []
    for name in ("max_cost", "max_tokens_total", "max_requests"):
        limit = getattr(basis.config, name)
        if limit is None or _is_within(estimate, name, limit):
            continue
        reached = reach(basis, partial(_is_within, name=name, limit=limit))
        shown = money(Decimal(repr(limit))) if name == "max_cost" else f"{limit:,}"
        lines.append(
            f"{name}, {shown}, will probably stop the run at about "
            f"{about(max(reached, estimate.accepted))} instructions."
        )
    return lines


def _is_within(estimate: "Estimate", name: str, limit: float) -> bool:
    if name == "max_cost":
        dollars = estimate.total_usd
        return dollars is None or dollars.expected <= Decimal(repr(limit))
    total = estimate.total.expected
    return (total.tokens if name == "max_tokens_total" else total.requests) <= limit


def _is_near(base_url: str | None) -> bool:
    host = urlsplit(base_url or "").hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local"))


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────


def about(number: float) -> str:
    """Format a number with two significant digits: 2143 → 2,100."""
    unit = 10 ** max(0, len(str(round(number))) - 2)
    return f"{round(number / unit) * unit:,}"


def money(dollars: Decimal) -> str:
    """Format dollars with a suitable precision: $0, $0.0043, $0.77, $8.30, $38, $1,200."""
    return "$" + _amount(dollars)


def money_range(dollars: "Money") -> str:
    """Format dollars with their range: $0.77 (0.49–1.38)."""
    return f"${shown_range(dollars, _amount)}"


def _amount(dollars: Decimal) -> str:
    if not dollars:
        return "0"
    if dollars < Decimal("0.01"):
        return f"{float(f'{dollars:.2g}'):.6f}".rstrip("0").rstrip(".") or "0"
    if dollars < 10:
        return f"{dollars:.2f}"
    return about(float(dollars)) if dollars >= 100 else f"{dollars:.0f}"


def hours_range(hours: "Range[float]") -> str:
    """Format a number of hours and its range in a suitable unit: 3 min (1–17)."""
    seconds = hours.times(3600)
    unit, name = next((u for u in _UNITS if seconds.expected >= 1.5 * u[0]), _UNITS[-1])
    return shown_range(seconds.times(1 / unit), _short, f" {name}")


def shown_range(values: "Range[T]", form: Callable[[T], str], unit: str = "") -> str:
    """Format a number and its range: 3 min (1–17). The range is omitted if both ends look the same."""
    low, expected, high = map(form, (values.low, values.expected, values.high))
    return f"{expected}{unit}" if low == high else f"{expected}{unit} ({low}–{high})"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 and round(value, 1) % 1 else f"{value:,.0f}"
