"""Holds a run to what a person allows it: each attempt is on record before it is sent, with its worst case.

    spent + reserved + what the attempt can consume at most + what is kept back ≤ every limit

What is kept back is what finishing the accepted tasks, and those that replies on their way may bring, can
consume. So a run that reaches a limit ends with whole records. Reservations are mostly settled far below
their worst case: what is refused now may be allowed once others have landed.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from selfinstruct.budget.ledger import Ledger
from selfinstruct.budget.prices import require_price
from selfinstruct.config.schema import RunConfig
from selfinstruct.cost import FREE, Consumption, Price
from selfinstruct.cost.worst_case import is_bounded, worst_case
from selfinstruct.errors import ConfigError, LimitReachedError
from selfinstruct.events import Released, Reserved
from selfinstruct.records import Request, Sampling
from selfinstruct.text import dollars

_NOTHING = Consumption()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a person allows a run, in all its starts together; None for no limit."""

    cost: Decimal | None = None
    """US dollars."""
    tokens: int | None = None
    requests: int | None = None
    price: Price = FREE
    """What `cost` is reckoned by."""

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self.settings)

    @property
    def settings(self) -> Collection[str]:
        """The settings that limit something."""
        named = {
            "max_requests": self.requests,
            "max_tokens_total": self.tokens,
            "max_cost": self.cost,
        }
        return [name for name, limit in named.items() if limit is not None]

    def exceeded_by(self, consumption: Consumption) -> str:
        """The setting whose limit so much would exceed; "" where it is within all."""
        if self.requests is not None and consumption.requests > self.requests:
            return "max_requests"
        if self.tokens is not None and consumption.tokens > self.tokens:
            return "max_tokens_total"
        if self.cost is not None and self.price.cost(consumption) > self.cost:
            return "max_cost"
        return ""


def limits_of(config: RunConfig, samplings: Iterable[Sampling]) -> Limits:
    """The limits that a run is held to. Raises ConfigError where it cannot be held to them.

    `samplings` are those of its stages: a reply without a token limit may consume whatever it likes.
    """
    limits = Limits(tokens=config.max_tokens_total, requests=config.max_requests)
    if config.max_cost is not None:
        limits = replace(limits, cost=Decimal(repr(config.max_cost)), price=require_price(config))
    is_limited = all(is_bounded(sampling) for sampling in samplings)
    named = {"max_cost": config.max_cost, "max_tokens_total": config.max_tokens_total}
    for name, limit in named.items():
        if limit is not None and not is_limited:
            raise ConfigError(
                name,
                "can only be kept where replies have a limit of their own; give every stage one "
                "(--generate-max-tokens, --classify-max-tokens, --instances-max-tokens)",
            )
    return limits


class Budget:
    """Admits attempts, and puts what they can consume on record. Implements `backend.Meter`."""

    def __init__(
        self,
        ledger: Ledger,
        limits: Limits,
        *,
        record: Callable[[Reserved | Released], None],
        sync: Callable[[], None],
    ) -> None:
        """`record` journals an event and folds it in; `sync` makes what was recorded durable."""
        self._ledger = ledger
        self._limits = limits
        self._record = record
        self._sync = sync
        self.reached = ""
        """The setting whose limit refused an attempt last."""
        self.kept_back: Callable[[Request], Consumption] = lambda _: _NOTHING
        """What must be left for whole records when a request is sent: whoever plans them knows."""

    @property
    def limited_by(self) -> Collection[str]:
        """The settings whose limits the run is held to."""
        return self._limits.settings

    def sync(self) -> None:
        """Make reservations durable, where they matter: with a limit not even a power cut may lose one."""
        if self._limits:
            self._sync()

    def admits(self, request: Request) -> bool:
        """Whether a further request is within the limits, and leaves what is kept back."""
        return not self._refused(request, self._ledger.committed)

    def begin(self, request: Request) -> None:
        """Put the first attempt of a request that was admitted on record; `sync` before it is sent."""
        self._record(self._reservation(request))

    def reserve(self, request: Request, *, is_billed: bool) -> None:
        """A further attempt, or one that nobody admitted; see `backend.Meter`."""
        reservation = self._reservation(request, replaces=not is_billed)
        committed = self._ledger.committed
        if not is_billed:
            freed = self._ledger.standing.get(request.id, _NOTHING)
            committed -= replace(freed, requests=0)
        if self._refused(request, committed):
            if not is_billed:
                self.release(request)
            raise self.limit_reached()
        self._record(reservation)
        self.sync()

    def release(self, request: Request) -> None:
        """The last attempt of a request was not billed, and there is none after it for now."""
        if request.id in self._ledger.standing:
            self._record(Released(request_id=request.id))

    def limit_reached(self) -> LimitReachedError:
        """What to say of the limit that refused an attempt last."""
        spent = self._ledger.spent
        flag = f"--{self.reached.replace('_', '-')}"
        limits = self._limits
        if self.reached == "max_requests":
            told = f"{spent.requests:,} of {limits.requests:,} requests are sent"
        elif self.reached == "max_tokens_total":
            told = f"{spent.tokens:,} of {limits.tokens:,} tokens are spent"
        else:
            assert limits.cost is not None
            told = f"{dollars(limits.price.cost(spent))} of {dollars(limits.cost)} are spent"
        return LimitReachedError(
            self.reached,
            f"{flag} is reached: {told}, and what comes next might exceed it; a higher {flag} continues the "
            "run",
        )

    def most(self, request: Request) -> Consumption:
        """What an attempt can consume at most, as far as is known by now."""
        # An endpoint that adds more of its own to prompts than any should, or minds no limit of replies, has
        # shown by how much.
        return worst_case(request) + self._ledger.excess

    def _refused(self, request: Request, committed: Consumption) -> bool:
        if not self._limits:
            return False
        wanted = committed + self.most(request) + self.kept_back(request)
        reached = self._limits.exceeded_by(wanted)
        self.reached = reached or self.reached
        return bool(reached)

    def _reservation(self, request: Request, *, replaces: bool = False) -> Reserved:
        most = self.most(request)
        return Reserved(
            request_id=request.id,
            prompt_tokens=most.prompt_tokens,
            completion_tokens=most.completion_tokens,
            replaces=replaces,
        )
