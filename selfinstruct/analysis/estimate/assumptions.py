"""The assumptions of an estimate before the run's first reply, each with its source.

"Recorded runs" are twelve published runs with base models, Llama 3, GPT-3.5 and others;
docs/guides/estimate.md lists their figures. The recipe states the token counts of replies. Prompt
sizes are not assumed: they follow from the run's own templates and tasks.
"""

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from selfinstruct.analysis.estimate.ranges import Range, exactly
from selfinstruct.cost.worst_case import max_tokens
from selfinstruct.pipeline.decision_profiles import PROFILES
from selfinstruct.pipeline.plan import generation_request, task_request
from selfinstruct.pipeline.recipes.types import RecipeStage
from selfinstruct.records import Prompt, Request, Sampling, Stage
from selfinstruct.runner.directory import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that the estimate is computed from."""

    range: Range[float]
    basis: str = "assumed"
    """Source of the number, such as "assumed" or "measured in 5 replies"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerStage:
    """Tokens and seconds that one request of a stage takes."""

    prompt_tokens: Figure
    reply_tokens: Figure
    seconds: Figure
    cached_share: float = 0.0
    """Share of the prompt tokens that is billed as cached; 0 until a reply reports cached tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """The numbers from which an estimate's requests, tokens and hours are computed."""

    candidates: Figure
    """Number of candidates in a reply to a generation request."""
    acceptance: Figure
    """Share of the candidates that is accepted when the pool has `pool_size` tasks."""
    pool_size: int
    decline: Figure
    """Exponent with which acceptance declines in a pool of n tasks: a(n) = a₀ (n / pool_size)^-decline."""
    asked_twice: Figure
    """Share of tasks that need a second classification request."""
    stages: Mapping[Stage, PerStage]


# In recorded runs, base models wrote 4.9 to 6.9 of 8 candidates per reply if the prompt did not say where to
# stop. Chat models write as many as the prompt asks for, unless max_tokens truncates the last one.
_CANDIDATES = {
    "chat": Range(low=0.8, expected=0.95, high=1.0),
    "completions": Range(low=0.55, expected=0.8, high=1.0),
}
"""Candidates in a reply, as a share of the instructions that the prompt asks for."""

# Recorded runs with up to 300 tasks in the pool accepted 97, 87, 76, 74, 70 and 56 % of their candidates;
# one with GPT-3.5 accepted 31 % at first and 23 % up to 1,300 tasks. With the simulated endpoint, a run
# accepts 75 %.
_ACCEPTANCE = Range(low=0.4, expected=0.72, high=0.95)
_POOL_SIZE = 175
# With the simulated endpoint, acceptance falls from 75 % to 36 % while the pool grows from 175 to 52,177
# tasks (exponent 0.13). In the recorded run with GPT-3.5, it falls from 31 % to 23 % between about 450 and
# 1,000 tasks (0.37).
_DECLINE = Range(low=0.03, expected=0.14, high=0.3)

# In the recorded runs, 576 of one chat model's 2,011 answers were neither yes nor no. Other models had no
# such answers.
_ASKED_TWICE = Range(low=0.0, expected=0.02, high=0.15)

# A token is about four characters of English (OpenAI). Depending on text and tokenizer, a character is 0.20
# to 0.27 tokens. A character of another script takes two or three bytes, and half a token to two tokens.
_TOKENS_PER_BYTE = Range(low=0.2, expected=0.235, high=0.27)
_TOKENS_PER_OTHER_BYTE = Range(low=0.17, expected=0.33, high=0.6)
_TOKENS_PER_MESSAGE = Range(low=0.0, expected=8.0, high=16.0)
"""Tokens that a chat message needs in addition to its text."""

# Reasoning is billed as reply tokens. Only max_tokens limits its length, so these numbers are a guess.
_REASONING = Range(low=50.0, expected=300.0, high=1500.0)
_ROOM_FOR_REASONING = 64
"""If classification replies may have more tokens than this, the model probably reasons."""

# In published comparisons, vendors' models write 17 to 95 tokens a second. Some servers are faster.
_SECONDS_PER_TOKEN = Range(low=1 / 150, expected=1 / 60, high=1 / 25)
_FIRST_TOKEN_S = Range(low=0.3, expected=0.7, high=2.0)

_SAMPLES = 8
"""Number of generation prompts to measure. The number in other stages depends on the pool's size."""


def assumed(run: Run) -> Assumptions:
    """Return the assumptions for a run, based only on its settings, tasks and templates."""
    config, generate = run.config, run.recipe.generate
    stages: dict[Stage, PerStage] = {}
    for stage, requests in _samples(run):
        reply = _reply_tokens(run, stage)
        prompts = sum((_tokens(request.prompt) for request in requests), exactly(0.0))
        seconds = _FIRST_TOKEN_S + reply.join(_SECONDS_PER_TOKEN, operator.mul)
        stages[stage.name] = PerStage(
            prompt_tokens=Figure(range=prompts.times(1 / len(requests))),
            reply_tokens=Figure(range=reply),
            seconds=Figure(range=seconds),
        )
    asks_twice = "classify" in stages and PROFILES[config.profile].asks_twice
    return Assumptions(
        candidates=Figure(range=_CANDIDATES[config.api].times(generate.instructions_asked)),
        acceptance=Figure(range=_ACCEPTANCE),
        pool_size=_POOL_SIZE,
        decline=Figure(range=_DECLINE),
        asked_twice=Figure(range=_ASKED_TWICE if asks_twice else exactly(0.0)),
        stages=stages,
    )


def reply_limit(asked: Sampling) -> int | None:
    """Return the maximum number of tokens in replies; None if there is no limit."""
    return max_tokens(asked) or None


def _reply_tokens(run: Run, stage: RecipeStage) -> Range[float]:
    low, expected, high = stage.reply_tokens
    reply = Range(low=low, expected=expected, high=high)
    limits = {one.name: reply_limit(one.sampling(run.config)) for one in run.recipe.stages}
    answer = limits.get("classify", 0)
    if answer is None or answer > _ROOM_FOR_REASONING:
        reply = reply + _REASONING
    limit = limits[stage.name]
    return reply if limit is None else reply.at_most(limit)


# ── prompts ────────────────────────────────────────────────────────────────────────────────────────────


def _samples(run: Run) -> Iterator[tuple[RecipeStage, list[Request]]]:
    """Yield each stage with sample requests, similar to those that the run will send."""
    state, config, recipe = run.state, run.config, run.recipe
    number = state.commits + 1
    # A different random seed selects different demonstrations.
    configs = [config.changed(seed=config.seed + n) for n in range(_SAMPLES)]
    yield (
        recipe.generate,
        [generation_request(state, one, run.templates, number) for one in configs],
    )
    # Take tasks at even distances from the whole pool.
    tasks = list(state.pool)[:: max(1, len(state.pool) // (2 * _SAMPLES))]
    for number, stage in enumerate(recipe.task_stages):
        unsettled: dict[str, Any] = {later.settles: None for later in recipe.task_stages[number:]}
        new = [replace(task, **unsettled) for task in tasks]
        about = [task for task in new if recipe.next_stage(task) is stage]
        yield stage, [task_request(state, config, run.templates, task) for task in about]


def _tokens(prompt: Prompt) -> Range[float]:
    """Estimate the number of tokens in a prompt from its bytes."""
    text = prompt.text or "".join(message.content for message in prompt.messages)
    size = len(text.encode("utf-8", "surrogatepass"))
    ascii_size = sum(char.isascii() for char in text)
    return (
        _TOKENS_PER_BYTE.times(ascii_size)
        + _TOKENS_PER_OTHER_BYTE.times(size - ascii_size)
        + _TOKENS_PER_MESSAGE.times(len(prompt.messages))
    )
