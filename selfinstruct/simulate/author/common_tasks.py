"""Commonplaces: instructions that everybody thinks of, with examples that fit.

Knows a few dozen instructions by heart, and nothing about any other::

    >>> known_examples("What is the capital of the given country?")[0]
    ('Portugal', 'Lisbon')
    >>> known_examples("What is the capital of the given cantons?")
    ()
"""

from functools import cache

from selfinstruct.simulate.author.word_lists import sections


@cache
def commonplaces() -> tuple[str, ...]:
    """The instructions."""
    return tuple(_examples())


def known_examples(instruction: str) -> tuple[tuple[str, str], ...]:
    """Pairs of an input ("" where none is needed) and its output; none for other instructions."""
    return _examples().get(instruction, ())


@cache
def _examples() -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        section.heading[0]: tuple(_pair(line) for line in section.lines if line)
        for section in sections("commonplaces")
    }


def _pair(line: str) -> tuple[str, str]:
    given, _, answer = line.partition(" => ")
    return given, answer.replace("\\n", "\n")
