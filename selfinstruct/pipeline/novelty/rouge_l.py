"""ROUGE-L as the rouge-score package computes it, and lower bounds on the tokens that similar texts share.

The package computes, with double-precision numbers,

    p = L / n    r = L / m    F = 2 * p * r / (p + r)    (m, n: tokens, L: longest common subsequence)

and the published filter rejects a text if F > 0.7. If the exact value is 0.7, rounding decides: for L = 7 and
texts of 7 and 13 tokens, F is 0.7000000000000001 and the text is rejected; for L = 7 and two texts of 10
tokens, F is 0.7 and the text is accepted. So all decisions use exactly these operations in this order.

    >>> f_measure(7, 7, 13) > 0.7, f_measure(7, 10, 10) > 0.7
    (True, False)

Without rounding, F = 2 L / (m + n), so F > threshold means L > threshold / 2 * (m + n). The bounds in `Need`
use this inequality with a threshold that is lower by a billionth. Rounding changes F by only about a
millionth of this margin, so the bounds never exclude a text whose F is over the threshold.

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
    """Return the ROUGE-L F-measure of two texts of `m` and `n` tokens; both numbers must be greater than 0.

    `common` is the length of the texts' longest common subsequence.
    """
    if common == 0:
        return 0.0
    # These are the same operations in the same order as in rouge-score: see the module docstring.
    precision, recall = common / n, common / m
    return 2 * precision * recall / (precision + recall)


def f_measures(common: "NDArray[Any]", m: Any, n: Any) -> "NDArray[np.float64]":
    """Apply `f_measure` to arrays, with bit-identical results. All `m` and `n` must be greater than 0."""
    precision, recall = common / n, common / m
    # Avoid 0 / 0. If there are no common tokens, F is 0 whatever the divisor is.
    return 2 * precision * recall / (precision + recall + (common == 0))  # type: ignore[no-any-return]


class Need:
    """Lower bounds on the number of tokens that texts of m and n tokens share if F > threshold."""

    def __init__(self, threshold: float) -> None:
        # Similar texts share at least one token, even at threshold 0.
        self.half = max(threshold * (1 - _MARGIN) / 2, 1e-12)
        """Factor, greater than 0: the two texts share at least half * m + half * n tokens."""
        self.ratio = self.half / (1 - self.half)
        """Factor: a text of n tokens shares at least ratio * n tokens with any similar text, whatever m
        is."""
