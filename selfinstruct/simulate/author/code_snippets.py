"""Snippets: small exercises in Python, and their solutions.

Knows what a function can be asked to do, and a function that does it::

    >>> solution("checks whether a year is a leap year").splitlines()[0]
    'def is_leap_year(year):'
"""

from functools import cache

from selfinstruct.simulate.author.word_lists import sections


@cache
def operations() -> tuple[str, ...]:
    """What a function can be asked to do; each fits after "a function that"."""
    return tuple(_solutions())


def solution(operation: str) -> str | None:
    """The source of a function that does what `operation` says; None if there is none."""
    return _solutions().get(operation)


@cache
def _solutions() -> dict[str, str]:
    return {section.heading[0]: "\n".join(section.lines) for section in sections("snippets")}
