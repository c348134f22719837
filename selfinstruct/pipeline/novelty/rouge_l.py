"""ROUGE-L as the rouge-score package computes it, and lower bounds for similar texts.

The package computes, in doubles,

    p = L / n    r = L / m    F = 2 * p * r / (p + r)    (m, n: tokens, L: longest common subsequence)

and the published filter rejects F > 0.7. If the exact value is 0.7, rounding decides: L = 7 with 7 and 13
tokens gives 0.7000000000000001 and is rejected; L = 7 with 10 and 10 tokens gives 0.7 and is accepted. So all
decisions use these operations in this order, never another formula.

    >>> f_measure(7, 7, 13) > 0.7, f_measure(7, 10, 10) > 0.7
    (True, False)

Without rounding, F = 2 L / (m + n), so F > threshold means L > threshold / 2 * (m + n). The bounds in `Need`
use this inequality with a threshold that is lower by a billionth. Rounding changes F by a millionth of this
margin, so the bounds never exclude a text that F would reject.

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
    """Return the ROUGE-L F-measure of two texts of m and n tokens, both > 0.

    `common` is the length of their longest common subsequence.
    """
    if common == 0:
        return 0.0
    # The same operations in the same order as rouge-score: see the module docstring.
    precision, recall = common / n, common / m
    return 2 * precision * recall / (precision + recall)


def f_measures(common: "NDArray[Any]", m: Any, n: Any) -> "NDArray[np.float64]":
    """Return `f_measure` for arrays, bit for bit; m and n > 0."""
    precision, recall = common / n, common / m
    # Avoid 0 / 0: without common tokens, F is 0 for any divisor.
    return 2 * precision * recall / (precision + recall + (common == 0))  # type: ignore[no-any-return]


class Need:
    """Lower bounds on the tokens that two texts of m and n tokens share if F > threshold."""

    def __init__(self, threshold: float) -> None:
        # Similar texts share at least one token, even at threshold 0.
        self.half = max(threshold * (1 - _MARGIN) / 2, 1e-12)
        """Factor > 0: the texts share at least half * m + half * n tokens."""
        self.ratio = self.half / (1 - self.half)
        """Factor: a text of n tokens shares at least ratio * n tokens with any text, whatever m."""
