"""Sums: calculations whose results are right.

Knows how to work out the word problems among the frames, and to convert units::

    solve("sum_hours", {"a": "9", "b": "40"})                     -> "6 hours"
    convert("kilometres to miles, to one decimal place", draws) -> ("42 kilometres", "26.1 miles")
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from selfinstruct.simulate.random_draws import Draws

RESULTS: Final[Mapping[str, Callable[[int, int, int], str]]] = {
    "sum_hours": lambda a, b, _c: f"{_plain(a * b / 60)} hours",
    "sum_left": lambda a, b, c: f"{a * c - b} euros",
    "sum_visitors": lambda _a, b, c: f"{2 * c + b} people",
    "sum_pages": lambda a, _b, c: f"{c - a} pages",
    "sum_fees": lambda a, b, c: f"{a * c - b} euros",
    "sum_askers": lambda a, b, c: f"{a * b * c} people",
    "sum_travel": lambda a, b, c: f"{(a + b) * c} minutes",
    "sum_parts": lambda a, _b, c: f"{c / a:.2f} euros",
    "sum_seconds": lambda a, b, _c: f"{a * 3600 + b * 60} seconds",
    "sum_split": lambda a, _b, c: f"{c / a:.2f} euros",
}
"""By kind of frame, the result of its word problem for the numbers in its slots a, b and c."""

_FACTORS: Final = {
    "kilometres to miles, to one decimal place": (0.621371, 1),
    "miles to kilometres, to one decimal place": (1.609344, 1),
    "kilograms to pounds, to one decimal place": (2.204623, 1),
    "pounds to kilograms, to one decimal place": (0.453592, 1),
    "hours to minutes": (60, 0),
    "minutes to seconds": (60, 0),
    "litres to US gallons, to two decimal places": (0.264172, 2),
    "centimetres to inches, to one decimal place": (0.393701, 1),
    "inches to centimetres, to one decimal place": (2.54, 1),
    "weeks to days": (7, 0),
    "days to hours": (24, 0),
    "kilometres to metres": (1000, 0),
    "square metres to square feet, to the nearest whole number": (10.76391, 0),
}


def solve(kind: str, numbers: Mapping[str, str]) -> str | None:
    """The result of a word problem whose slots "a", "b" and "c" hold `numbers`, where it has them.

    None if one of them is not a number that such a problem can have.
    """
    found = [numbers.get(name, "1") for name in "abc"]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", text) for text in found):
        return None
    a, b, c = map(int, found)
    return RESULTS[kind](a, b, c)


def convert(conversion: str, draws: Draws) -> tuple[str, str] | None:
    """A value in the first unit of `conversion`, and the same in the second.

    None if the conversion is not known.
    """
    names = conversion.partition(",")[0]
    before, _, after = names.partition(" to ")
    number = draws.between(2, 240)
    if conversion in _FACTORS:
        factor, places = _FACTORS[conversion]
        return f"{number} {before}", f"{number * factor:.{places}f} {after}"
    if names == "degrees Celsius to degrees Fahrenheit":
        return f"{number} {before}", f"{_plain(number * 1.8 + 32)} {after}"
    if names == "degrees Fahrenheit to degrees Celsius":
        return f"{number} {before}", f"{(number - 32) / 1.8:.1f} {after}"
    return None


def _plain(number: float) -> str:
    """Two decimal places at most, and none that are zero."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
