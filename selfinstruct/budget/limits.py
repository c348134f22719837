"""A run's limits on money, tokens and requests. The worst case of each attempt is reserved before it is sent.

    spent + reserved + worst case of the attempt + finishing cost ≤ every limit

The finishing cost is the worst case of completing all accepted tasks and all tasks that requests in flight
may add. So a run that reaches a limit ends with complete records. Most attempts consume far less than their
worst case, so a request that is not admitted now may be admitted after other requests have been answered.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from selfinstruct.budget.ledger import Ledger
from selfinstruct.budget.prices import require_price
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import FREE, NOTHING, Consumption, Price
from selfinstruct.cost.worst_case import is_bounded
from selfinstruct.display import dollars
from selfinstruct.errors import ConfigError, LimitReachedError
from selfinstruct.journal_events import Released, Reserved
from selfinstruct.records import Sampling

_UNITS = {"max_requests": "requests sent", "max_tokens_total": "tokens spent"}
"""The unit of each limit, for error messages. The limit `max_cost` is missing, as it is in dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A run's limits, which apply to all of its processes together. None means no limit."""

    cost: Decimal | None = None
    """Maximum cost in US dollars."""
    tokens: int | None = None
    requests: int | None = None
    price: Price = FREE
    """Price with which the cost is computed."""

    def amounts(self, consumption: Consumption) -> dict[str, tuple[int | Decimal, int | Decimal]]:
        """Return the amount used and the maximum for each limit that is set, by the name of its setting."""
        every: dict[str, tuple[int | Decimal, int | Decimal | None]] = {
            "max_requests": (consumption.requests, self.requests),
            "max_tokens_total": (consumption.tokens, self.tokens),
            "max_cost": (self.price.cost(consumption), self.cost),
        }
        return {name: (used, most) for name, (used, most) in every.items() if most is not None}

    @property
    def names(self) -> Collection[str]:
        """Names of the settings that set a limit."""
        return self.amounts(NOTHING).keys()


def limits_of(config: RunConfig, samplings: Iterable[Sampling]) -> Limits:
    """Return a run's limits. `samplings` are the sampling parameters of its stages.

    Raises ConfigError if a limit cannot be guaranteed, because the price is unknown or a stage has no
    max_tokens.
    """
    limits = Limits(tokens=config.max_tokens_total, requests=config.max_requests)
    if config.max_cost is not None:
        limits = replace(limits, cost=Decimal(repr(config.max_cost)), price=require_price(config))
    unbounded = not all(is_bounded(sampling) for sampling in samplings)
    for name in ("max_cost", "max_tokens_total"):
        if unbounded and name in limits.names:
            raise ConfigError(
                name,
                "needs a max_tokens for every stage, since a reply has no maximum otherwise; add "
                "--set generate_max_tokens=NUMBER, and the same for classify and instances",
            )
    return limits


class Budget:
    """Admits attempts that are within the limits, and reserves their worst case.

    Implements `backend.Reservations`.
    """

    def __init__(
        self,
        ledger: Ledger,
        limits: Limits,
        *,
        record: Callable[[Reserved | Released], None],
        sync: Callable[[], None],
        finishing_cost: Callable[[str], Consumption] = lambda _: NOTHING,
    ) -> None:
        """Create a budget.

        `record` writes an event to the journal and applies it to the state. `sync` makes the journal durable.
        `finishing_cost` returns the worst case of completing all tasks after a request is answered.
        """
        self._ledger = ledger
        self._limits = limits
        self._record = record
        self._sync = sync
        self._limit = ""
        """Name of the setting whose limit refused the last attempt; "" if none has."""
        self._finishing_cost = finishing_cost

    @property
    def limit_names(self) -> Collection[str]:
        """Names of the settings that set a limit."""
        return self._limits.names

    def sync(self) -> None:
        """If there is a limit, make reservations durable, so that even a power failure does not lose one."""
        if self._limits.names:
            self._sync()

    def admits(self, request_id: str, most: Consumption) -> bool:
        """Return whether the limits allow the first attempt at this request."""
        return not self._refuses(request_id, most, self._ledger.committed)

    def begin(self, request_id: str, most: Consumption) -> None:
        """Reserve the first attempt at an admitted request. Call `sync` before the attempt is sent."""
        self._record(self._reservation(request_id, most))

    def reserve(self, request_id: str, most: Consumption, *, is_billed: bool) -> None:
        """Reserve another attempt; see `backend.Reservations`."""
        committed = self._ledger.committed
        if not is_billed:
            committed -= replace(self._ledger.pending.get(request_id, NOTHING), requests=0)
        if self._refuses(request_id, most, committed):
            if not is_billed:
                self.release(request_id)
            raise self.limit_reached()
        self._record(self._reservation(request_id, most, replaces=not is_billed))
        self.sync()

    def release(self, request_id: str) -> None:
        """Release an unbilled attempt's reservation. Call this if no other attempt follows immediately."""
        if request_id in self._ledger.pending:
            self._record(Released(request_id=request_id))

    def limit_reached(self) -> LimitReachedError:
        """Return the error that says which limit refused the last attempt."""
        spent, most = self._limits.amounts(self._ledger.spent)[self._limit]
        flag = f"--{self._limit.replace('_', '-')}"
        if self._limit == "max_cost":
            progress = f"{dollars(Decimal(spent))} of {dollars(Decimal(most))} spent"
        else:
            progress = f"{spent:,} of {most:,} {_UNITS[self._limit]}"
        return LimitReachedError(
            self._limit,
            f"{flag} is reached: {progress}, and the next request might exceed the limit; raise {flag} to "
            "continue the run",
        )

    def _refuses(self, request_id: str, most: Consumption, committed: Consumption) -> bool:
        if not self._limits.names:
            return False
        total = committed + self._ledger.with_excess(most) + self._finishing_cost(request_id)
        amounts = self._limits.amounts(total).items()
        limit = next((name for name, (used, allowed) in amounts if used > allowed), "")
        self._limit = limit or self._limit
        return bool(limit)

    def _reservation(
        self, request_id: str, most: Consumption, *, replaces: bool = False
    ) -> Reserved:
        most = self._ledger.with_excess(most)
        return Reserved(
            request_id=request_id,
            prompt_tokens=most.prompt_tokens,
            completion_tokens=most.completion_tokens,
            replaces=replaces,
        )
