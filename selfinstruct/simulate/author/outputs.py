"""Outputs for tasks that need no input.

Knows what an explanation, a table or a plan looks like, and fills it with the words of the setting
that the task is about. Asked for a table with the columns "step, reason and time", it gives one::

    Step | Reason | Time
    --- | --- | ---
    gather what is needed | saves time later | ten minutes

It reads an instruction no more closely than by the words in its slots.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

from selfinstruct.simulate.author import arithmetic, code_snippets
from selfinstruct.simulate.author.grammar import Scene, Template, fill, template_or_text
from selfinstruct.simulate.author.word_lists import sections

COUNTS: Final[Mapping[str, int]] = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_STEPS_LEFT_OUT: Final = 0.4


def numbered(lines: Sequence[str]) -> str:
    """The lines as a list that is numbered from 1."""
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


@cache
def variants(name: str) -> tuple[str | Template, ...]:
    """The outputs called `name`, each a text of one or more lines."""
    texts = "\n".join(_lines(name)).split("\n~\n")
    return tuple(template_or_text(text.strip()) for text in texts)


@cache
def _pool(name: str) -> tuple[str | Template, ...]:
    """The outputs called `name`, each a single line of a list."""
    return tuple(template_or_text(line) for line in _lines(name) if line)


@cache
def _cells() -> dict[str, list[str | Template]]:
    """What can stand in a column of a table, by its heading."""
    cells: dict[str, list[str | Template]] = {}
    for line in _lines("cells"):
        column, _, cell = line.partition(": ")
        cells.setdefault(column, []).append(template_or_text(cell))
    return cells


def _lines(name: str) -> tuple[str, ...]:
    return next(part.lines for part in sections("outputs") if part.heading[0] == name)


def _any_of(name: str) -> Callable[[Scene], str]:
    return lambda scene: fill(scene.draws.one_of(variants(name)), scene)


def _explanation(scene: Scene) -> str:
    answer = scene.setting.answers.get(scene.used.get("why", ""))
    if answer is None:
        return _any_of("general")(scene)
    scene.used["answer"] = answer
    return _any_of("explain")(scene)


def _steps_of(name: str) -> Callable[[Scene], str]:
    def write(scene: Scene) -> str:
        first, *rest = _pool(name)
        kept = [first, *(step for step in rest if not scene.draws.chance(_STEPS_LEFT_OUT))]
        return numbered([fill(step, scene) for step in kept])

    return write


def _list_of(name: str) -> Callable[[Scene], str]:
    def write(scene: Scene) -> str:
        number = COUNTS.get(scene.used.get("count", ""), 3)
        return numbered([fill(line, scene) for line in scene.draws.some_of(_pool(name), number)])

    return write


def _table(scene: Scene) -> str:
    names = re.split(", | and ", scene.used["columns"])
    columns = [scene.draws.some_of(_cells().get(name, _cells()["step"]), 3) for name in names]
    rows = [
        [name.capitalize() for name in names],
        ["---" for _ in names],
        *([fill(cell, scene) for cell in cells] for cells in zip(*columns, strict=True)),
    ]
    return "\n".join(" | ".join(cells) for cells in rows)


def _sum(kind: str) -> Callable[[Scene], str]:
    return lambda scene: arithmetic.solve(kind, scene.used) or _any_of("general")(scene)


def _code(scene: Scene) -> str:
    return code_snippets.solution(scene.used["operation"]) or _any_of("general")(scene)


_TEXTS: Final = (
    *("verse", "haiku", "story", "diary", "encounter", "ending", "speech", "reference"),
    *("letter_news", "letter_help", "notice", "apology", "thanks", "invitation", "advert"),
    *("complaint", "reminder", "dialogue", "interview", "phone_call", "general"),
    *("advice_task", "advice_mistakes", "advice_check", "advice_trouble"),
    *("advice_tell", "advice_say"),
    *("advice_spending", "compare_tasks", "compare_jobs", "argue", "choose"),
)
_PLANS: Final = ("plan_learning", "plan_visit", "plan_trouble", "plan_money")
_LISTS: Final = (
    *("ideas_easier", "ideas_reuse", "ideas_titles", "ideas_presents", "ideas_welcome"),
    *("ideas_topics", "questions"),
)

WITHOUT_INPUT: Final[Mapping[str, Callable[[Scene], str]]] = {
    "explain": _explanation,
    **{kind: _any_of(kind) for kind in _TEXTS},
    **{kind: _steps_of(kind) for kind in _PLANS},
    **{kind: _list_of(kind) for kind in _LISTS},
    "table": _table,
    **{kind: _sum(kind) for kind in arithmetic.RESULTS},
    "code": _code,
}
"""By kind of task, a function that makes an output for the scene of an instruction."""
