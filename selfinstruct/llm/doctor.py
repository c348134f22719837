"""What an endpoint can do, found out with a few tiny requests.

Asks for the list of models, then for completions of at most 16 tokens, and says of each feature what can be
told from outside: a server may honour a parameter, refuse it, or ignore it without a word.

    doctor = Doctor(backend, model="qwen3", api="chat", samplings={"generate": Sampling(model="qwen3", …)})
    async for finding in doctor.findings():
        …   # Finding("endpoint", "ok", "it answers"), Finding("model", "ok", "qwen3 is there"), …
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from selfinstruct.errors import BackendError, EndpointError, TransientError
from selfinstruct.llm.online import OnlineBackend, Probe
from selfinstruct.llm.outcomes import Seen
from selfinstruct.llm.reply import read_completion, read_usage
from selfinstruct.llm.request_body import (
    LIMITS,
    NEWER_LIMIT,
    OLDER_LIMIT,
    blamed,
    parameters,
    wants_newer_limit,
    without,
)
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Stage
from selfinstruct.records.finish_reasons import Ending

Mark = Literal["ok", "bad", "open"]
"""Fine, in the way of a run, or neither."""

_MODELS_WITHIN_S = 10.0
_TOKENS = 16
_FEW = 3
_MOST_LEFT_OUT = 4
"""Parameters of one stage that are left out, one after another, before giving up on it."""
_COUNT = (
    "Count from 1 to 9. Write the digits with blanks between them, and nothing else.",
    "1 2 3 4 5 6 7 8 9\n1 2 3 4 5 6 7 8 9\n1 2 3",
)
_GUESS = (
    "Write five words that have nothing to do with each other.",
    "Five words that have nothing to do with each other: river,",
)
"""Prompts for a chat and for a text to continue."""
_ROOM = (
    "a model that thinks first needs room (--classify-max-tokens 2000), or switch its thinking off with "
    "--extra-body"
)
_NOBODY = frozenset({Seen.NO_CONNECTION, Seen.CONNECT_TIMEOUT})
_SILENT = _NOBODY | {Seen.SILENT, Seen.TOO_SLOW}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing."""

    name: str
    mark: Mark
    said: str
    remedy: str = ""


class Doctor:
    """Examines an endpoint; counts what that takes."""

    def __init__(
        self,
        backend: OnlineBackend,
        *,
        model: str,
        api: str,
        samplings: Mapping[Stage, Sampling],
        limit: str = "auto",
    ) -> None:
        """`samplings` are what the stages of the run send; `limit` is the setting `token_limit`."""
        self._backend = backend
        self._model = model
        self._is_chat = api == "chat"
        self._samplings = samplings
        self._may_rename = limit not in LIMITS
        self._limit = OLDER_LIMIT if self._may_rename else limit
        self._extra = next(({**sampling.extra} for sampling in samplings.values()), {})
        self.requests = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0

    async def findings(self) -> AsyncIterator[Finding]:
        """All checks, in order; ends early where a run could not go on."""
        asked, blame = "endpoint", ""
        try:
            async for finding in self._before_a_completion():
                yield finding
            asked = "completion"
            probe = await self._ask(_COUNT)
            blame = blamed(probe.error, self._extra)  # nothing else can be left out of so little
            first = _read(probe)
        except BackendError as error:
            yield Finding(
                asked, "bad", str(error), f"take {blame!r} out of --extra-body" if blame else ""
            )
            return
        yield _completed(first)
        yield _usage(probe, first)
        yield self._named(first)
        async for finding in self._parameters():
            yield finding
        async for finding in self._features(first):
            yield finding

    # ── is there anybody, and who ────────────────────────────────────────────────────────────────────────

    async def _before_a_completion(self) -> AsyncIterator[Finding]:
        """Raises BackendError where nobody can be reached."""
        try:
            async with asyncio.timeout(_MODELS_WITHIN_S):
                probe = await self._backend.probe("/models")
        except TimeoutError:
            yield Finding(
                "model", "open", f"no list of models within {_MODELS_WITHIN_S:g} s; {_LATER}"
            )
            return
        except TransientError as error:
            if error.seen in _NOBODY:
                raise
            yield Finding("model", "open", f"no list of models ({error}); {_LATER}")
            return
        yield Finding("endpoint", "ok", "it answers")
        yield self._listed(probe)

    def _listed(self, probe: Probe) -> Finding:
        if probe.refusal is not None:
            return Finding("model", "open", f"GET /models answered {probe.status}; {_LATER}")
        try:
            listed = [str(card["id"]) for card in json.loads(probe.content)["data"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return Finding("model", "open", f"GET /models gave no list; {_LATER}")
        if self._model in listed:
            return Finding("model", "ok", f"{self._model} is there")
        near = get_close_matches(self._model, listed, n=3, cutoff=0.4) or listed[:3]
        said = f"{_short(self._model)} is not in the list of models; {_LATER}"
        return Finding(
            "model", "open", said, "the list has " + _short(", ".join(near)) if near else ""
        )

    def _named(self, completion: Completion) -> Finding:
        name = "name in replies"
        if completion.model == self._model:
            return Finding(name, "ok", _short(completion.model))
        said = f"the replies call it {_short(completion.model)}" if completion.model else "none"
        return Finding(name, "open", said)

    # ── what the run sends ───────────────────────────────────────────────────────────────────────────────

    async def _parameters(self) -> AsyncIterator[Finding]:
        """Whether the parameters of each stage are taken; those that are refused are left out in turn."""
        for stage, sampling in self._samplings.items():
            try:
                yield await self._taken(stage, sampling)
            except BackendError as error:
                yield Finding(f"{stage} sends", "bad", str(error))
                if isinstance(error, EndpointError | TransientError):
                    return

    async def _taken(self, stage: Stage, sampling: Sampling) -> Finding:
        left_out: list[str] = []
        sent = self._body(_COUNT, sampling)
        shown = {n: v for n, v in sent.items() if n not in ("model", "messages", "prompt")}
        for _ in range(_MOST_LEFT_OUT):
            probe = await self._ask(_COUNT, sampling, leaving=left_out)
            if probe.refusal is None:
                break
            body = {n: v for n, v in self._body(_COUNT, sampling).items() if n not in left_out}
            name = blamed(probe.error, body) if probe.status in (400, 422) else ""
            if not name:
                raise probe.refusal
            left_out.append(name)
        if not left_out:
            listed = ", ".join(
                n if n in LIMITS else f"{n} {json.dumps(v)}" for n, v in shown.items()
            )
            return Finding(f"{stage} sends", "ok", f"{_short(listed)}: accepted")
        remedies = [
            f"take {name!r} out of --extra-body" if name in sampling.extra else without(stage, name)
            for name in left_out
        ]
        refused = f"refused: {', '.join(left_out)}"
        return Finding(f"{stage} sends", "bad", refused, f"leave out: {' '.join(remedies)}")

    # ── features ─────────────────────────────────────────────────────────────────────────────────────────

    async def _features(self, first: Completion) -> AsyncIterator[Finding]:
        checks: dict[str, Callable[[Completion], Coroutine[Any, Any, Finding]]] = {
            "n": self._n,
            "stop": self._stop,
            "seed": self._seed,
            "logprobs": self._logprobs,
            "penalties": self._penalties,
        }
        if self._is_chat:
            checks[NEWER_LIMIT] = self._newer_limit  # last: who ignores it may write for long
        for name, check in checks.items():
            try:
                yield await check(first)
            except BackendError as error:
                seen = error.seen if isinstance(error, TransientError) else ""
                is_refused = seen not in _SILENT | {Seen.RATE_LIMITED}
                said = (
                    f"refused ({_short(error.problem)})" if is_refused else f"cannot tell: {error}"
                )
                yield Finding(name, "open", said)
                if seen in _SILENT:
                    return

    async def _n(self, _: Completion) -> Finding:
        choices = _choices(await self._granted(_COUNT, n=2))
        if len(choices) == 2:
            return Finding("n", "ok", "honoured: two choices for n = 2")
        return Finding("n", "open", "ignored: one choice for n = 2 (a run asks for one)")

    async def _stop(self, first: Completion) -> Finding:
        stop = _in_the_middle(first.text)
        text = _read(await self._granted(_COUNT, stop=[stop or "4"])).text
        if stop and stop in text:
            return Finding("stop", "open", f"ignored: the text holds “{stop}” all the same")
        if stop and text and first.text.startswith(text):
            return Finding("stop", "ok", f"honoured: the text ends before “{stop}”")
        return Finding("stop", "open", "accepted; cannot tell whether it is honoured")

    async def _seed(self, _: Completion) -> Finding:
        texts = {_read(await self._granted(_GUESS, seed=7, temperature=1)).text for _ in range(2)}
        if len(texts) == 1:
            return Finding("seed", "ok", "same text twice: honoured, or it never varies")
        return Finding("seed", "open", "ignored: two texts for one seed (a run does not need it)")

    async def _logprobs(self, _: Completion) -> Finding:
        wanted = {"logprobs": True, "top_logprobs": 1} if self._is_chat else {"logprobs": 1}
        if any(
            choice.get("logprobs") for choice in _choices(await self._granted(_COUNT, **wanted))
        ):
            return Finding("logprobs", "ok", "honoured")
        return Finding("logprobs", "open", "ignored: the reply has none (a run does not need them)")

    async def _penalties(self, _: Completion) -> Finding:
        await self._granted(_COUNT, presence_penalty=1, frequency_penalty=1)
        return Finding("penalties", "ok", "presence_penalty, frequency_penalty: accepted")

    async def _newer_limit(self, first: Completion) -> Finding:
        if self._limit == NEWER_LIMIT:
            return Finding(NEWER_LIMIT, "ok", "sent in place of max_tokens")
        few = _read(await self._granted(_COUNT, **{OLDER_LIMIT: None, NEWER_LIMIT: _FEW}))
        written = few.usage.completion_tokens if few.usage else None
        if few.ending is Ending.CUT or (written is not None and written <= _FEW):
            return Finding(NEWER_LIMIT, "ok", "honoured")
        if len(few.text) >= len(first.text) > 4 * _FEW:
            return Finding(NEWER_LIMIT, "open", "ignored: the reply is longer")
        return Finding(NEWER_LIMIT, "open", "accepted; cannot tell whether it is honoured")

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────

    def _body(self, prompt: tuple[str, str], sampling: Sampling, **wanted: Any) -> dict[str, Any]:
        """A request with the run's added members, with a limit of its own."""
        chat, text = prompt
        limits = [sampling.extra[name] for name in LIMITS & sampling.extra.keys()]
        has_limit = any(limits) if limits else sampling.max_tokens is not None
        extra = {n: v for n, v in sampling.extra.items() if n not in LIMITS}
        return parameters(
            Request(
                id="doctor",
                stage="generate",
                prompt=Prompt(template="", messages=(Message(role="user", content=chat),))
                if self._is_chat
                else Prompt(template="", text=text),
                sampling=replace(
                    sampling, max_tokens=_TOKENS if has_limit else None, extra={**extra, **wanted}
                ),
            ),
            limit=self._limit,
        )

    async def _granted(self, prompt: tuple[str, str], **wanted: Any) -> Probe:
        """Ask for something more. Raises BackendError where that is refused."""
        probe = await self._ask(prompt, **wanted)
        if probe.refusal is not None:
            raise probe.refusal
        return probe

    async def _ask(
        self,
        prompt: tuple[str, str],
        sampling: Sampling | None = None,
        *,
        leaving: Sequence[str] = (),
        **wanted: Any,
    ) -> Probe:
        """Send a tiny request, once more where the token limit is wanted under its newer name."""
        sampling = sampling or Sampling(model=self._model, max_tokens=_TOKENS, extra=self._extra)
        body = self._body(prompt, sampling, **wanted)
        body = {name: value for name, value in body.items() if name not in leaving}
        self.requests += 1
        probe = await self._backend.probe(
            "/chat/completions" if self._is_chat else "/completions", body
        )
        if probe.refusal is None:
            self._count(probe)
        elif self._may_rename and wants_newer_limit(probe.status, probe.error, body):
            self._may_rename, self._limit = False, NEWER_LIMIT
            return await self._ask(prompt, sampling, leaving=leaving, **wanted)
        return probe

    def _count(self, probe: Probe) -> None:
        try:
            usage = _read(probe).usage
        except BackendError:
            return
        if usage is not None:
            self.prompt_tokens += usage.prompt_tokens
            self.completion_tokens += usage.completion_tokens


_LATER = "the completion decides"


def _read(probe: Probe) -> Completion:
    """The completion of a reply. Raises BackendError where it is none."""
    if probe.refusal is not None:
        raise probe.refusal
    return read_completion(probe.content, attempts=1, latency_s=0.0)


def _choices(probe: Probe) -> list[dict[str, Any]]:
    _read(probe)
    return [choice for choice in json.loads(probe.content)["choices"] if isinstance(choice, dict)]


def _completed(completion: Completion) -> Finding:
    if completion.text.strip():
        return Finding("completion", "ok", f"it wrote “{_short(completion.text)}”")
    if completion.ending is Ending.CUT:
        return Finding("completion", "open", f"nothing visible in {_TOKENS} tokens", _ROOM)
    return Finding(
        "completion", "open", "an empty text", "see what a real prompt gives: run --preview"
    )


def _usage(probe: Probe, completion: Completion) -> Finding:
    reported = json.loads(probe.content).get("usage")
    usage = read_usage(reported, has_text=bool(completion.text))
    if usage is None:
        return Finding("usage", "open", f"tokens are not reported; {_CHARGED}")
    if isinstance(usage, str):
        return Finding("usage", "open", f"impossible token counts ({usage}); {_CHARGED}")
    hidden = usage.completion_tokens - reported["completion_tokens"]
    if hidden:
        said = f"{hidden:,} tokens (reasoning?) are missing in completion_tokens; a run counts them, too"
        return Finding("usage", "open", said)
    return Finding("usage", "ok", "tokens are reported")


_CHARGED = "a run charges every request the most that the request can consume"


def _in_the_middle(text: str) -> str:
    """A word that stands in a text once, behind others: what to stop at."""
    found = text.split()[1:]
    if "4" in found:
        return "4"
    return next((word for word in found[len(found) // 3 :] if text.count(word) == 1), "")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


_SHOWN = 100
