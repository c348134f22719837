"""The items of a reply in the order of its text. Candidates are numbered `<request id>#<ordinal>` from 1."""

from collections.abc import Iterable
from itertools import count
from operator import itemgetter
from typing import TypeVar

from selfinstruct.records import Rejection

T = TypeVar("T")


def ordinal(candidate_id: str) -> int:
    """Return the n of `<request id>#<n>`; 0, which means the whole reply, for an id without a number."""
    n = candidate_id.rpartition("#")[2]
    return int(n) if n.isdecimal() else 0


def in_order(
    accepted: Iterable[T], rejected: Iterable[Rejection]
) -> list[tuple[int, T | Rejection]]:
    """Return accepted and rejected items with their ordinals, in the order of the reply.

    Events store no ordinal for a kept instance: kept items have the ordinals that no rejection has.
    """
    rejections = {ordinal(rejection.candidate_id): rejection for rejection in rejected}
    free = (n for n in count(1) if n not in rejections)
    items: list[tuple[int, T | Rejection]] = [*rejections.items(), *zip(free, accepted)]  # noqa: B905
    return sorted(items, key=itemgetter(0))
