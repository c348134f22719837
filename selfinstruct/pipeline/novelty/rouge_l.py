"""ROUGE-L as the rouge-score package computes it, and what must hold of two texts that are near in it.

The package computes, in doubles,

    p = L / n    r = L / m    F = 2 * p * r / (p + r)    (m, n: tokens, L: longest common subsequence)

and the published filter rejects where F > 0.7. At exact ties the doubles fall on either side of 0.7: L = 7
of 7 and 13 tokens gives 0.7000000000000001 and is rejected, 7 of 10 and 10 gives 0.7 and is kept. So every
decision is made on F, computed with these very operations, and never on another formula.

    >>> f_measure(7, 7, 13) > 0.7, f_measure(7, 10, 10) > 0.7
    (True, False)

Without rounding F = 2 L / (m + n), so F > threshold asks for L > threshold / 2 * (m + n). What is said of
texts before L is known rests on that, with a threshold a billionth lower: that is a million times more than
rounding can do, so nothing that F would reject is ever left out.

    >>> need = Need(0.7)
    >>> need.half * (7 + 13) <= 7, need.ratio * 13 <= 7
    (True, True)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MARGIN = 1e-9


def f_measure(common: int, m: int, n: int) -> float:
    """ROUGE-L F of two texts of m and n tokens (both > 0) that share a subsequence of `common` tokens."""
    if common == 0:
        return 0.0
    # The operations and their order are rouge-score's: see the module docstring.
    precision, recall = common / n, common / m
    return 2 * precision * recall / (precision + recall)


def f_measures(common: "NDArray[Any]", m: Any, n: Any) -> "NDArray[np.float64]":
    """`f_measure` of arrays, bit for bit; m and n > 0."""
    precision, recall = common / n, common / m
    # Where nothing is common the sum is 0, and so is F: any other divisor gives that.
    return 2 * precision * recall / (precision + recall + (common == 0))  # type: ignore[no-any-return]


class Need:
    """What two texts of m and n tokens must share if F > threshold: lower bounds, never too high."""

    def __init__(self, threshold: float) -> None:
        # At least one token is shared, whatever the threshold.
        self.half = max(threshold * (1 - _MARGIN) / 2, 1e-12)
        """Of m and n tokens at least half * m + half * n are shared; never 0."""
        self.ratio = self.half / (1 - self.half)
        """Of n tokens at least ratio * n, whatever m: what is shared is also at most m."""
