"""Find out what an endpoint supports, with a few tiny requests.

The doctor requests the list of models, then completions of at most 16 tokens. A server may support a
parameter, refuse it, or silently ignore it. Each finding reports what the server's replies show.

    doctor = Doctor(client, settings, {"generate": sampling(config, "generate")})
    async for finding in doctor.findings():
        …   # Finding("endpoint", "ok", "reachable"), Finding("completion", "ok", "the model replied …"), …
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any, Literal

from selfinstruct.config.endpoint_settings import EndpointSettings
from selfinstruct.cost import Consumption
from selfinstruct.cost.worst_case import is_bounded
from selfinstruct.errors import BackendError, EndpointError, TransientError
from selfinstruct.llm.client import EndpointClient
from selfinstruct.llm.outcome_rules import AttemptOutcome, outcome_of
from selfinstruct.llm.reply import Reply, read_completion, read_usage, shortened
from selfinstruct.llm.request_body import (
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    MAX_TOKENS_NAMES,
    option_without,
    parameters,
    refused_parameter,
    wants_max_completion_tokens,
)
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Stage
from selfinstruct.records.finish_reasons import Ending

Mark = Literal["ok", "bad", "open"]
"""True if a feature works ("ok"), prevents a run ("bad"), or neither ("open")."""
_Result = tuple[Mark, str]
"""A feature's mark and a description of the result."""

_MODELS_TIMEOUT_S = 10.0
_MAX_TOKENS = 16
_FEW_TOKENS = 3
_MAX_REMOVED = 4
"""Maximum number of refused parameters to remove from a stage's requests."""
_MAX_SHOWN_CHARACTERS = 100
# Each pair is a chat prompt and the equivalent prompt for text completion.
_COUNT = (
    "Count from 1 to 9. Write the digits with blanks between them, and nothing else.",
    "1 2 3 4 5 6 7 8 9\n1 2 3 4 5 6 7 8 9\n1 2 3",
)
_FIVE_WORDS = (
    "Write five words that have nothing to do with each other.",
    "Five words that have nothing to do with each other: river,",
)
_MORE_TOKENS = (
    "if the model reasons before it replies, allow more tokens (--set classify_max_tokens=2000) or turn "
    "reasoning off with --extra-body"
)
_NO_CONNECTION = frozenset({AttemptOutcome.NO_CONNECTION, AttemptOutcome.CONNECT_TIMEOUT})
_NO_REPLY = _NO_CONNECTION | {AttemptOutcome.SILENT, AttemptOutcome.TOO_SLOW}
_LATER = "the completion check decides"
_CHARGED = "a run counts each request's maximum instead"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    name: str
    mark: Mark
    said: str
    """Description of the result."""
    remedy: str = ""
    """What the user can do, or an empty string."""


class Doctor:
    """Checks an endpoint, and counts the requests and tokens that the checks use."""

    def __init__(
        self,
        client: EndpointClient,
        settings: EndpointSettings,
        samplings: Mapping[Stage, Sampling],
    ) -> None:
        """Prepare the checks; `samplings` maps each stage to its sampling parameters."""
        self._client = client
        self._model = settings.model
        self._is_chat = settings.api == "chat"
        self._samplings = samplings
        self._may_rename = settings.token_limit not in MAX_TOKENS_NAMES
        self._max_tokens_name = MAX_TOKENS if self._may_rename else settings.token_limit
        self._extra = settings.extra_body or {}
        self.requests = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0

    async def findings(self) -> AsyncIterator[Finding]:
        """Run all checks and yield their findings. Stop early if a run with this endpoint cannot work."""
        check, refused = "endpoint", ""
        try:
            async for finding in self._models():
                yield finding
            check = "completion"
            reply = await self._ask(self._body(_COUNT))
            refused = refused_parameter(reply.error, self._extra)
            first = _read(reply)
        except BackendError as error:
            remedy = f"remove {refused!r} from --extra-body" if refused else ""
            yield Finding(check, "bad", str(error), remedy)
            return
        yield _completion_finding(first)
        yield _usage_finding(reply, first)
        yield self._name_finding(first)
        async for finding in self._parameters():
            yield finding
        async for finding in self._features(first):
            yield finding

    # ── connection and model ─────────────────────────────────────────────────────────────────────────────

    async def _models(self) -> AsyncIterator[Finding]:
        """Check the connection and the list of models. Raises BackendError if there is no connection."""
        try:
            async with asyncio.timeout(_MODELS_TIMEOUT_S):
                reply = await self._client.probe("/models")
        except TimeoutError:
            problem = f"GET /models timed out after {_MODELS_TIMEOUT_S:g} s; {_LATER}"
            yield Finding("model", "open", problem)
            return
        except TransientError as error:
            if outcome_of(error) in _NO_CONNECTION:
                raise
            yield Finding("model", "open", f"GET /models failed ({error}); {_LATER}")
            return
        yield Finding("endpoint", "ok", "reachable")
        if reply.refusal is not None:
            yield Finding("model", "open", f"GET /models answered {reply.status}; {_LATER}")
            return
        try:
            cards = {str(card["id"]): card for card in json.loads(reply.content)["data"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            yield Finding("model", "open", f"GET /models did not return a list of models; {_LATER}")
            return
        yield self._model_finding(list(cards))
        shutdown = _date(cards.get(self._model, {}).get("shutdown_date"))
        if shutdown is not None:
            is_past = shutdown < datetime.now(UTC).date()
            said = (
                f"{_short(self._model)} {'was' if is_past else 'will be'} shut down on {shutdown}"
            )
            yield Finding("shutdown", "bad" if is_past else "open", said, "choose another model")

    def _model_finding(self, models: list[str]) -> Finding:
        if self._model in models:
            return Finding("model", "ok", f"{self._model} is in the list of models")
        near = get_close_matches(self._model, models, n=3, cutoff=0.4) or models[:3]
        said = f"{_short(self._model)} is not in the list of models; {_LATER}"
        remedy = "the list contains " + _short(", ".join(near)) if near else ""
        return Finding("model", "open", said, remedy)

    def _name_finding(self, completion: Completion) -> Finding:
        name = "name in replies"
        if completion.model == self._model:
            return Finding(name, "ok", _short(completion.model))
        said = (
            f"{_short(completion.model)}, not {_short(self._model)}" if completion.model else "none"
        )
        return Finding(name, "open", said)

    # ── parameters of the run ────────────────────────────────────────────────────────────────────────────

    async def _parameters(self) -> AsyncIterator[Finding]:
        """Check each stage's parameters; remove refused parameters one by one."""
        for stage, sampling in self._samplings.items():
            try:
                yield await self._stage_finding(stage, sampling)
            except BackendError as error:
                yield Finding(f"{stage} sends", "bad", str(error))
                if isinstance(error, EndpointError | TransientError):
                    return

    async def _stage_finding(self, stage: Stage, sampling: Sampling) -> Finding:
        body = self._body(_COUNT, sampling)
        removed: list[str] = []
        for _ in range(_MAX_REMOVED):
            reply = await self._ask(body)
            if reply.refusal is None:
                break
            name = refused_parameter(reply.error, body) if reply.status in (400, 422) else ""
            if not name:
                raise reply.refusal
            removed.append(name)
            del body[name]
        if removed:
            options = [
                f"remove {name!r} from --extra-body"
                if name in sampling.extra
                else option_without(stage, name)
                for name in removed
            ]
            said = f"refused: {', '.join(removed)}"
            return Finding(f"{stage} sends", "bad", said, f"fix: {' '.join(options)}")
        sent = ", ".join(
            name if name in MAX_TOKENS_NAMES else f"{name} {json.dumps(value)}"
            for name, value in self._body(_COUNT, sampling).items()
            if name not in ("model", "messages", "prompt")
        )
        return Finding(f"{stage} sends", "ok", f"{_short(sent)}: accepted")

    # ── features ─────────────────────────────────────────────────────────────────────────────────────────

    async def _features(self, first: Completion) -> AsyncIterator[Finding]:
        checks: dict[str, Callable[[Completion], Coroutine[Any, Any, _Result]]] = {
            "n": self._n,
            "stop": self._stop,
            "seed": self._seed,
            "logprobs": self._logprobs,
            "penalties": self._penalties,
        }
        if self._is_chat:
            # This check is last, because a server that ignores the parameter may write a long reply.
            checks[MAX_COMPLETION_TOKENS] = self._max_completion_tokens
        for name, check in checks.items():
            try:
                mark, said = await check(first)
                yield Finding(name, mark, said)
            except BackendError as error:
                outcome = outcome_of(error)
                said = f"refused ({_short(error.problem)})"
                if outcome in _NO_REPLY | {AttemptOutcome.RATE_LIMITED}:
                    said = f"unknown: {error}"
                yield Finding(name, "open", said)
                if outcome in _NO_REPLY:
                    return

    async def _n(self, _: Completion) -> _Result:
        choices = _choices(await self._ask_for(_COUNT, n=2))
        if len(choices) == 2:
            return "ok", "honoured: two choices for n = 2"
        return "open", "ignored: one choice for n = 2 (a run needs only one)"

    async def _stop(self, first: Completion) -> _Result:
        stop = _middle_word(first.text)
        text = _read(await self._ask_for(_COUNT, stop=[stop or "4"])).text
        if stop and stop in text:
            return "open", f"ignored: the text contains “{stop}”"
        if stop and text and first.text.startswith(text):
            return "ok", f"honoured: the text ends before “{stop}”"
        return "open", "accepted; unknown whether it is honoured"

    async def _seed(self, _: Completion) -> _Result:
        texts = {
            _read(await self._ask_for(_FIVE_WORDS, seed=7, temperature=1)).text for _ in range(2)
        }
        if len(texts) == 1:
            return "ok", "the same text twice: honoured, or replies never vary"
        return "open", "ignored: one seed, two different texts (a run does not need it)"

    async def _logprobs(self, _: Completion) -> _Result:
        wanted = {"logprobs": True, "top_logprobs": 1} if self._is_chat else {"logprobs": 1}
        if any(
            choice.get("logprobs") for choice in _choices(await self._ask_for(_COUNT, **wanted))
        ):
            return "ok", "honoured"
        return "open", "ignored: no logprobs in the reply (a run needs none)"

    async def _penalties(self, _: Completion) -> _Result:
        await self._ask_for(_COUNT, presence_penalty=1, frequency_penalty=1)
        return "ok", "presence_penalty, frequency_penalty: accepted"

    async def _max_completion_tokens(self, first: Completion) -> _Result:
        name = MAX_COMPLETION_TOKENS
        if self._max_tokens_name == name:
            return "ok", "sent instead of max_tokens"
        few = _read(await self._ask_for(_COUNT, **{MAX_TOKENS: None, name: _FEW_TOKENS}))
        written = few.usage.completion_tokens if few.usage else None
        if few.ending is Ending.CUT or (written is not None and written <= _FEW_TOKENS):
            return "ok", "honoured"
        if len(few.text) >= len(first.text) > 4 * _FEW_TOKENS:
            return "open", f"ignored: the reply is longer than {_FEW_TOKENS} tokens"
        return "open", "accepted; unknown whether it is honoured"

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────

    def _body(
        self, prompt: tuple[str, str], sampling: Sampling | None = None, **extra: Any
    ) -> dict[str, Any]:
        """Return a request body with the run's extra members, but with a small max_tokens."""
        sampling = sampling or Sampling(
            model=self._model, max_tokens=_MAX_TOKENS, extra=self._extra
        )
        chat, text = prompt
        of_the_run = {n: v for n, v in sampling.extra.items() if n not in MAX_TOKENS_NAMES}
        sampling = replace(
            sampling,
            max_tokens=_MAX_TOKENS if is_bounded(sampling) else None,
            extra={**of_the_run, **extra},
        )
        one = Prompt(template="", text=text)
        if self._is_chat:
            one = Prompt(template="", messages=(Message(role="user", content=chat),))
        request = Request(id="doctor", stage="generate", prompt=one, sampling=sampling)
        return parameters(request, max_tokens_name=self._max_tokens_name)

    async def _ask_for(self, prompt: tuple[str, str], **extra: Any) -> Reply:
        """Send a tiny request with extra members. Raises BackendError if the endpoint refuses it."""
        reply = await self._ask(self._body(prompt, **extra))
        if reply.refusal is not None:
            raise reply.refusal
        return reply

    async def _ask(self, body: dict[str, Any]) -> Reply:
        """Send a body. If the endpoint requires max_completion_tokens, rename max_tokens and retry."""
        self.requests += 1
        path = "/chat/completions" if self._is_chat else "/completions"
        longest = max(body.get(name) or 0 for name in MAX_TOKENS_NAMES)
        most = Consumption(prompt_tokens=len(json.dumps(body)), completion_tokens=longest)
        reply = await self._client.probe(path, body, most=most)
        self._count(reply)
        if self._may_rename and wants_max_completion_tokens(reply.status, reply.error, body):
            self._may_rename, self._max_tokens_name = False, MAX_COMPLETION_TOKENS
            body[MAX_COMPLETION_TOKENS] = body.pop(MAX_TOKENS)
            return await self._ask(body)
        return reply

    def _count(self, reply: Reply) -> None:
        with suppress(BackendError):
            usage = _read(reply).usage
            self.prompt_tokens += usage.prompt_tokens if usage is not None else 0
            self.completion_tokens += usage.completion_tokens if usage is not None else 0


def _read(reply: Reply) -> Completion:
    """Return the completion in a reply. Raises BackendError if the reply contains no completion."""
    if reply.refusal is not None:
        raise reply.refusal
    return read_completion(reply)


def _choices(reply: Reply) -> list[dict[str, Any]]:
    _read(reply)
    return [choice for choice in json.loads(reply.content)["choices"] if isinstance(choice, dict)]


def _completion_finding(completion: Completion) -> Finding:
    name = "completion"
    if completion.text.strip():
        return Finding(name, "ok", f"the model replied “{_short(completion.text)}”")
    if completion.ending is Ending.CUT:
        return Finding(
            name, "open", f"no visible text in the first {_MAX_TOKENS} tokens", _MORE_TOKENS
        )
    return Finding(
        name, "open", "the reply is empty", "check with a real prompt: selfinstruct run --preview"
    )


def _usage_finding(reply: Reply, completion: Completion) -> Finding:
    reported = json.loads(reply.content).get("usage")
    usage = read_usage(reported, has_text=bool(completion.text))
    if usage is None:
        return Finding("usage", "open", f"token counts are not reported; {_CHARGED}")
    if isinstance(usage, str):
        return Finding("usage", "open", f"impossible token counts ({usage}); {_CHARGED}")
    hidden = usage.completion_tokens - reported["completion_tokens"]
    if hidden:
        said = f"completion_tokens omits {hidden:,} tokens, probably reasoning; a run counts them"
        return Finding("usage", "open", said)
    return Finding("usage", "ok", "token counts are reported")


def _date(value: object) -> date | None:
    """Convert a model card's date (ISO text or Unix time). Return None for any other value."""
    with suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str):
            return date.fromisoformat(value.strip()[:10])
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
    return None


def _middle_word(text: str) -> str:
    """Return a word after the first that can serve as a stop sequence for this text, or "" if none can."""
    words = text.split()[1:]
    if "4" in words:
        return "4"
    return next((word for word in words[len(words) // 3 :] if text.count(word) == 1), "")


def _short(text: str) -> str:
    return shortened(text, _MAX_SHOWN_CHARACTERS)
