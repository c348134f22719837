"""What a run will probably take, in a line before it starts, and the question before it costs a lot.

Also how estimated numbers look wherever they are shown.
"""

import sys
from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_address
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

import typer

from selfinstruct.cli.terminal import say

if TYPE_CHECKING:
    from selfinstruct.analysis.estimate import Basis, Estimate, Money, Observed, Range
    from selfinstruct.events import Event
    from selfinstruct.runner.directory import Run

UNKNOWN = "cost unknown: add --price-input and --price-output, or --free"
_INTERRUPTED = 130
_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


class Announcement:
    """Says once what is left of a run will take, and asks where that costs more than `confirm_above`."""

    def __init__(self, *, yes: bool) -> None:
        """`yes` is the answer that was given beforehand."""
        self._yes = yes
        self._is_made = False
        self._observed: Observed | None = None
        """What the run's replies have shown, if it has any."""

    @property
    def may_ask(self) -> bool:
        """Whether there is somebody to ask who has not answered beforehand."""
        return not self._yes and _is_terminal(sys.stdin) and _is_terminal(sys.stderr)

    def heard(self, run: "Run", event: "Event") -> None:
        """Look at what a run is opened with, so that nobody need read its journal again."""
        from selfinstruct.analysis.estimate import Observed

        if self._observed is None:
            self._observed = Observed(pool_size=run.state.pool.seed_count)
        self._observed.look_at(event)

    def ask(self, run: "Run") -> None:
        """Before anything is made: say it and ask, but only if there is something to ask."""
        from selfinstruct.analysis.estimate import estimate_of

        if self._is_due(run, estimate_of(run)):
            self.make(run)

    def make(self, run: "Run") -> "Estimate":
        """The estimate; say it, unless it was said, and ask if need be.

        Exits with 130 where the answer is no: nothing was asked of the model, nothing is lost.
        """
        from selfinstruct.analysis.estimate import basis_of, forecast

        basis = basis_of(run, observed=self._observed)
        self._observed = None
        estimate = forecast(basis)
        if not self._is_made:
            self._is_made = True
            say(f"expected: {headline(estimate, base_url=run.config.base_url)}")
            for line in limit_lines(basis, estimate):
                say(line)
            if self._is_due(run, estimate):
                _ask()
        return estimate

    def _is_due(self, run: "Run", estimate: "Estimate") -> bool:
        dollars, most = estimate.left_usd, Decimal(repr(run.config.confirm_above))
        return self.may_ask and dollars is not None and dollars.expected > most


def _ask() -> None:
    try:
        is_wanted = typer.confirm("Go on?", err=True)
    except typer.Abort:
        is_wanted = False
        say("")
    if not is_wanted:
        say("Nothing was sent. `selfinstruct estimate` with the same flags tells more.")
        raise typer.Exit(_INTERRUPTED)


def headline(estimate: "Estimate", *, base_url: str | None = None) -> str:
    """The answer in a line: "1,000 instructions: $0.77 (0.49–1.38), 3 min (1–17)"."""
    missing = max(0, estimate.target - estimate.accepted)
    what = "1 instruction" if missing == 1 else f"{missing:,} instructions"
    if estimate.accepted:
        what = what.replace(" ", " more ", 1) if missing else "what is left open"
    parts = [cost(estimate, base_url=base_url), hours_range(estimate.hours)]
    return f"{what}: {', '.join(part for part in parts if part)}"


def left_line(estimate: "Estimate", *, base_url: str | None) -> str:
    """What a run that was stopped still lacks."""
    return f"left to do: {headline(estimate, base_url=base_url)}"


def cost(estimate: "Estimate", *, base_url: str | None = None) -> str:
    """What is left to pay. Nothing where that is unknown, and the server is probably one's own."""
    dollars = estimate.left_usd
    if dollars is None:
        return "" if _is_near(base_url) else UNKNOWN
    return money_range(dollars) if dollars.high else "free"


def limit_lines(basis: "Basis", estimate: "Estimate") -> list[str]:
    """Which limits will probably end the run before its target, and how far it will get."""
    from selfinstruct.analysis.estimate import reach

    config = basis.config
    limits: list[tuple[str, Callable[[Estimate], bool]]] = []
    if config.max_cost is not None:
        most = Decimal(repr(config.max_cost))
        # Without a price there is nothing to exceed.
        limits.append(
            (f"max_cost, {money(most)},", lambda e: not (m := e.total_usd) or m.expected <= most)
        )
    if (tokens := config.max_tokens_total) is not None:
        limits.append(
            (f"max_tokens_total, {tokens:,},", lambda e: e.total.expected.tokens <= tokens)
        )
    if (requests := config.max_requests) is not None:
        limits.append(
            (f"max_requests, {requests:,},", lambda e: e.total.expected.requests <= requests)
        )
    return [
        f"{limit} will probably end it at some {about(max(reach(basis, is_within), estimate.accepted))} "
        "instructions."
        for limit, is_within in limits
        if not is_within(estimate)
    ]


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it was closed
        return False


def _is_near(base_url: str | None) -> bool:
    host = urlsplit(base_url).hostname if base_url else None
    if host is None:
        return False
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local"))


# ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────


def about(number: float) -> str:
    """A number with two digits that say something: 2143 → 2,100."""
    unit = 10 ** max(0, len(str(round(number))) - 2)
    return f"{round(number / unit) * unit:,}"


def money(dollars: Decimal) -> str:
    """Dollars as precise as they matter: $0, $0.0043, $0.77, $8.30, $38, $1,200."""
    return "$" + _amount(dollars)


def money_range(dollars: "Money") -> str:
    """$0.77 (0.49–1.38)."""
    if dollars.low == dollars.high:
        return money(dollars.expected)
    return f"{money(dollars.expected)} ({_amount(dollars.low)}–{_amount(dollars.high)})"


def _amount(dollars: Decimal) -> str:
    if not dollars:
        return "0"
    if dollars < Decimal("0.01"):
        return f"{float(f'{dollars:.2g}'):.6f}".rstrip("0").rstrip(".") or "0"
    if dollars < 10:
        return f"{dollars:.2f}"
    return about(float(dollars)) if dollars >= 100 else f"{dollars:.0f}"


def hours_range(hours: "Range") -> str:
    """3 min (1–17)."""
    seconds = hours.times(3600)
    unit, name = next((u for u in _UNITS if seconds.expected >= 1.5 * u[0]), _UNITS[-1])
    shown = [_short(value / unit) for value in (seconds.expected, seconds.low, seconds.high)]
    if shown[1] == shown[2]:
        return f"{shown[0]} {name}"
    return f"{shown[0]} {name} ({shown[1]}–{shown[2]})"


def count_range(found: "Range") -> str:
    """1,000 (980–1,300)."""
    if round(found.low) == round(found.high):
        return f"{round(found.expected):,}"
    return f"{round(found.expected):,} ({round(found.low):,}–{round(found.high):,})"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 and round(value, 1) % 1 else f"{value:,.0f}"
