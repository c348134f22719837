"""Passages: short texts about a setting whose facts are known.

Knows what it has put into a text, so that questions about the text have right answers::

    passage.text      "On Monday, 3 May, Zoe spent the morning kneading dough by hand at …"
    passage.weekday   "Monday"
    passage.amount    "340 euros"

It does not know what will be asked.
"""

from dataclasses import dataclass
from typing import Final

from selfinstruct.simulate.author.grammar import Scene, Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text of a few sentences, and what it says."""

    sentences: tuple[str, ...]
    headline: str
    summary: str
    points: tuple[str, ...]
    questions: tuple[str, ...]
    facts: dict[str, str]
    """What the text says, by the words in which instructions ask for it."""

    @property
    def text(self) -> str:
        """The whole text, on one line."""
        return " ".join(self.sentences)


_SENTENCES: Final = (
    (
        Template(
            "On {weekday}, {b_day} {month}, {author} spent the morning {doing} at the {place}."
        ),
        Template("{author} was at the {place} on {weekday}, {b_day} {month}, busy {doing}."),
        Template(
            "All day long on {weekday}, {b_day} {month}, {author} was {doing} at the {place}."
        ),
    ),
    (
        Template("Unfortunately, {trouble}."),
        Template("There is one problem: {trouble}."),
        Template("What nobody had expected is that {trouble}."),
    ),
    (
        Template("So far this has cost {c} euros."),
        Template("To put it right will cost {c} euros."),
        Template("In the end it may cost {c} euros."),
    ),
    (
        Template("{helper} has been told and will see to it within {a} days."),
        Template("{helper} has been told about it and needs {a} days."),
        Template("It will take {a} days, says {helper}, who has been told."),
    ),
)
_HEADLINES: Final = (
    Template("{Doing}: trouble at the {place}"),
    Template("Help for the {place} within {a} days"),
    Template("{c} euros and {a} days for the {place}"),
    Template("Trouble at the {place}"),
)
_SUMMARIES: Final = (
    Template("At the {place}, {trouble}; {helper} will see to it within {a} days."),
    Template("At the {place}, {trouble}, and it will take {a} days to put that right."),
)
_POINTS: Final = (
    Template("{weekday}, {b_day} {month}: {doing} at the {place}"),
    Template("Problem: {trouble}"),
    Template("Cost: {c} euros"),
    Template("Told: {helper}, needs {a} days"),
)
_QUESTIONS: Final = (
    Template("On which day was {author} at the {place}?"),
    Template("What has gone wrong?"),
    Template("How much money is mentioned?"),
    Template("Who has been told?"),
    Template("How many days will it take?"),
    Template("What did {author} do?"),
)


def passage(scene: Scene) -> Passage:
    """A new text in the setting of `scene`; words that the scene has used already appear in it."""
    draws = scene.draws
    author = scene.word("firstname")
    helper = scene.word("firstname2")
    day = str(draws.between(1, 28))
    scene.used |= {"author": author, "helper": helper, "b_day": day}
    sentences = tuple(draws.one_of(variants).fill(scene) for variants in _SENTENCES)
    weekday, month, amount = scene.word("weekday"), scene.word("month"), scene.word("c")
    days = scene.word("a")
    trouble = scene.word("trouble")
    return Passage(
        sentences=sentences,
        headline=draws.one_of(_HEADLINES).fill(scene),
        summary=draws.one_of(_SUMMARIES).fill(scene),
        points=tuple(point.fill(scene) for point in _POINTS),
        questions=tuple(question.fill(scene) for question in _QUESTIONS),
        facts={
            "every name": f"{author}, {helper}",
            "the name of the person at work": author,
            "the date": f"{day} {month}",
            "the weekday": weekday,
            "the amount of money": f"{amount} euros",
            "what has gone wrong": trouble[0].upper() + trouble[1:] + ".",
            "the number of days": days,
            "the person who was told": helper,
            "the place": f"the {scene.word('place')}",
            "all the numbers": f"{day}, {amount}, {days}",
        },
    )
