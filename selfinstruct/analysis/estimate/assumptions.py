"""What an estimate rests on before anything was asked, each with where it is from.

"Recorded runs" are twelve runs of others with base models, Llama 3, GPT-3.5 and the like; their figures are
in docs/guides/estimate.md. Prompts are no assumption: they are made of the run's own templates and tasks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from selfinstruct.analysis.estimate.ranges import Range
from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.plan import generation_request, task_request
from selfinstruct.pipeline.recipes import sampling
from selfinstruct.records import Prompt, Request, Stage, Task
from selfinstruct.runner.directory import Run

ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that the estimate rests on."""

    range: Range
    basis: str = ASSUMED
    """"assumed", or in how many replies it was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerStage:
    """What a request of one stage takes."""

    prompt_tokens: Figure
    reply_tokens: Figure
    seconds: Figure
    cached_share: float = 0.0
    """Of the prompt's tokens, those that are billed as cached. Nothing is expected of a cache until seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """All that requests, tokens and hours follow from."""

    candidates: Figure
    """Candidates in a reply to a request for new instructions."""
    acceptance: Figure
    """Share of candidates that are accepted where the pool has `pool_size` tasks …"""
    pool_size: int
    decline: Figure
    """… and how it falls as the pool grows: as the size to the power of minus this."""
    asked_twice: Figure
    """Share of tasks whose kind is asked for once more."""
    stages: Mapping[Stage, PerStage]


# Recorded runs have 4.9 to 6.9 candidates in a reply of a base model that had no fixed number to stop at.
# Chat models asked for so many write so many, or lose the last one to the token limit.
_CANDIDATES = {
    "chat": Range(low=0.8, expected=0.95, high=1.0),
    "completions": Range(low=0.55, expected=0.8, high=1.0),
}
"""Share of the instructions asked for."""

# Recorded runs with up to 300 tasks in the pool accepted 97, 87, 76, 74, 70 and 56 % of their candidates;
# one, of GPT-3.5, 31 % at first and 23 % up to 1,300. The simulated endpoint: 75 %.
_ACCEPTANCE = Range(low=0.4, expected=0.72, high=0.95)
_POOL_SIZE = 175
# The simulated endpoint falls from 75 % to 36 % while its pool grows from 175 to 52,177 tasks (0.13), the
# recorded run of GPT-3.5 from 31 to 23 % between some 450 and 1,000 (0.37).
_DECLINE = Range(low=0.03, expected=0.14, high=0.3)

# An answer that is neither yes nor no: 576 of 2,011 of one chat model in the recorded runs, none of others.
_ASKED_TWICE = Range(low=0.0, expected=0.02, high=0.15)

# "A token is some four characters" of English (OpenAI); 0.20 to 0.27 by text and tokenizer. Other scripts
# take two or three bytes a character, and between half a token and two of them.
_TOKENS_PER_BYTE = Range(low=0.2, expected=0.235, high=0.27)
_TOKENS_PER_OTHER_BYTE = Range(low=0.17, expected=0.33, high=0.6)
_TOKENS_OF_A_MESSAGE = 8
"""Around the text of a chat."""

# Tokens of replies. A list of eight had 490 to 580 bytes in recorded runs, whose instructions are short ones
# of base models; instances had 170 to 490; a row of Alpaca's 230 to 420, and its markup.
_A_NEW_INSTRUCTION = Range(low=15, expected=28, high=52)
_AN_ALPACA_BLOCK = Range(low=60, expected=105, high=175)
_A_VERDICT = Range(low=1, expected=2, high=5)
_INSTANCES = Range(low=60, expected=160, high=400)
# A model that thinks first bills its thoughts as tokens of the reply. Nothing is known of their length but
# the limit, so this is a guess.
_THOUGHTS = Range(low=50, expected=300, high=1500)
_ROOM_FOR_THOUGHTS = 64
"""A yes or no needs no more tokens than that, unless the model thinks first."""

# Vendors' models write 17 to 95 tokens a second by published comparisons, some servers more.
_TOKENS_PER_SECOND = Range(low=25, expected=60, high=150)
_FIRST_TOKEN_S = Range(low=0.3, expected=0.7, high=2.0)

_SAMPLES = 8
"""Prompts of a kind that are made to see how long they are."""


def assumed(run: Run) -> Assumptions:
    """What holds for a run of which nothing is known yet but its settings, seed tasks and templates."""
    config, asked = run.config, run.recipe.instructions_asked
    stages: dict[Stage, PerStage] = {}
    for stage, requests in _samples(run).items():
        reply = _reply(run, stage)
        seconds = Range(
            low=_FIRST_TOKEN_S.low + reply.low / _TOKENS_PER_SECOND.high,
            expected=_FIRST_TOKEN_S.expected + reply.expected / _TOKENS_PER_SECOND.expected,
            high=_FIRST_TOKEN_S.high + reply.high / _TOKENS_PER_SECOND.low,
        )
        stages[stage] = PerStage(
            prompt_tokens=Figure(range=_mean(_tokens(r.prompt) for r in requests)),
            reply_tokens=Figure(range=reply),
            seconds=Figure(range=seconds),
        )
    asks_twice = run.recipe.has_task_stages and config.profile == "default"
    return Assumptions(
        candidates=Figure(range=_CANDIDATES[config.api].times(asked)),
        acceptance=Figure(range=_ACCEPTANCE),
        pool_size=_POOL_SIZE,
        decline=Figure(range=_DECLINE),
        asked_twice=Figure(range=_ASKED_TWICE if asks_twice else _ASKED_TWICE.times(0)),
        stages=stages,
    )


def reply_limit(config: RunConfig, stage: Stage) -> int | None:
    """The most tokens that a reply of a stage may have; None where it has no limit."""
    asked = sampling(config, stage)
    replaced = [asked.extra[n] for n in ("max_tokens", "max_completion_tokens") if n in asked.extra]
    if not replaced:
        return asked.max_tokens
    return next((n for n in replaced if isinstance(n, int)), None)


def _reply(run: Run, stage: Stage) -> Range:
    config, asked = run.config, run.recipe.instructions_asked
    if stage == "classify":
        reply = _A_VERDICT
    elif stage == "instances":
        reply = _INSTANCES
    else:
        each = _A_NEW_INSTRUCTION if run.recipe.has_task_stages else _AN_ALPACA_BLOCK
        reply = each.times(asked)
    verdict = reply_limit(config, "classify")
    if run.recipe.has_task_stages and (verdict is None or verdict > _ROOM_FOR_THOUGHTS):
        reply = reply + _THOUGHTS
    limit = reply_limit(config, stage)
    return reply if limit is None else reply.at_most(limit)


# ── prompts ────────────────────────────────────────────────────────────────────────────────────────────


def _samples(run: Run) -> dict[Stage, list[Request]]:
    """Requests such as the run will send."""
    state, config = run.state, run.config
    number = state.commits + 1
    samples: dict[Stage, list[Request]] = {
        "generate": [
            # Another seed draws other demonstrations.
            generation_request(
                state, config.changed(seed=config.seed + n), run.recipe, run.templates, number
            )
            for n in range(_SAMPLES)
        ]
    }
    if run.recipe.has_task_stages:
        samples["classify"] = list(_about(run, _tasks(run)))
        kinds = [task for task in _tasks(run) if task.is_classification is not None]
        samples["instances"] = list(_about(run, kinds, keep_kind=True))
    return samples


def _tasks(run: Run) -> list[Task]:
    """Some tasks, spread over the pool."""
    step = max(1, len(run.state.pool) // (2 * _SAMPLES))
    return list(run.state.pool)[::step]


def _about(run: Run, tasks: Iterable[Task], *, keep_kind: bool = False) -> Iterator[Request]:
    for task in tasks:
        kind = task.is_classification if keep_kind else None
        asked = replace(task, is_classification=kind, instances=None)
        yield task_request(run.state, run.config, run.templates, asked)


def _tokens(prompt: Prompt) -> Range:
    """The tokens of a prompt, by its bytes."""
    text = prompt.text or "".join(message.content for message in prompt.messages)
    size = len(text.encode("utf-8", "surrogatepass"))
    plain = sum(char.isascii() for char in text)
    tokens = _TOKENS_PER_BYTE.times(plain) + _TOKENS_PER_OTHER_BYTE.times(size - plain)
    around_it = _TOKENS_OF_A_MESSAGE * len(prompt.messages)
    return tokens + Range(low=0, expected=around_it, high=2 * around_it)


def _mean(ranges: Iterable[Range]) -> Range:
    listed = list(ranges)
    total = listed[0]
    for further in listed[1:]:
        total = total + further
    return total.times(1 / len(listed))
