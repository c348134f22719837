"""Test the pump with work other than a run: it requests verdicts on texts, and has its own event types."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter
from support import ScriptedBackend, cuts
from virtual_clock import run_at_once

from selfinstruct.budget.ledger import Ledger
from selfinstruct.budget.limits import Budget, Limits
from selfinstruct.cost import Consumption
from selfinstruct.errors import EndpointError, LimitReachedError, RequestRejectedError
from selfinstruct.journal_events import (
    CompletionReceived,
    Outcome,
    Released,
    RequestFailed,
    Reserved,
)
from selfinstruct.records import Completion, Message, Prompt, Request, Sampling, Stage, Strict
from selfinstruct.runner.journal import Journal
from selfinstruct.runner.pump import Pump

TEXTS = {f"text_{number}": "A short text. " * number for number in range(12)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(Strict):
    """The event for a verdict on a text."""

    kind: Literal["judged"] = "judged"
    key: str
    verdict: str


JudgeEvent = Reserved | Released | Outcome | Judged


@cache
def judge_events() -> TypeAdapter[JudgeEvent]:
    return TypeAdapter(Annotated[JudgeEvent, Field(discriminator="kind")])


def request(key: str, text: str) -> Request:
    return Request(
        id=key,
        stage="classify",
        prompt=Prompt(template="judge@0", messages=(Message(role="user", content=text),)),
        sampling=Sampling(model="m", max_tokens=50),
    )


class Judge:
    """Requests a verdict on each text. Its state is computed only from the journal's events."""

    def __init__(self, journal: Journal[JudgeEvent], texts: Mapping[str, str]) -> None:
        self.ledger = Ledger()
        self.outcomes: dict[str, Outcome] = {}
        self.verdicts: dict[str, str] = {}
        self._journal = journal
        self.apply(*(entry.event for entry in journal.replay()))
        self.ledger.give_all_up()
        self._texts = deque((k, text) for k, text in texts.items() if k not in self.outcomes)

    def stages(self, _: Mapping[Stage, int]) -> Sequence[Stage]:
        return ("classify",)

    def next_request(self, _: Stage) -> Request | None:
        return request(*self._texts.popleft()) if self._texts else None

    def apply(self, *events: JudgeEvent) -> None:
        for event in events:
            match event:
                case Reserved():
                    most = Consumption(requests=1, prompt_tokens=event.prompt_tokens)
                    self.ledger.reserve(event.request_id, most)
                case Released():
                    self.ledger.release(event.request_id)
                case CompletionReceived():
                    self.ledger.settle(event.request_id, event.completion.usage)
                    self.outcomes[event.request_id] = event
                case RequestFailed():
                    self.ledger.give_up(event.request_id)
                    self.outcomes[event.request_id] = event
                case Judged():
                    self.verdicts[event.key] = event.verdict

    def decide(self) -> bool:
        key = next((key for key in self.outcomes if key not in self.verdicts), None)
        if key is None:
            return False
        match self.outcomes[key]:
            case CompletionReceived(completion=completion):
                self.record(Judged(key=key, verdict=completion.text))
            case RequestFailed():
                self.record(Judged(key=key, verdict="none"))
        return True

    def record(self, event: Reserved | Released | Judged) -> None:
        self._journal.append(event, durable=False)
        self.apply(event)


def judge(
    path: Path,
    backend: ScriptedBackend,
    *,
    limits: Limits = Limits(),  # noqa: B008
    stop: asyncio.Event | None = None,
) -> tuple[Judge, Exception | None]:
    """Judge all texts. Return the judge, and the failure if there was one."""

    async def work() -> tuple[Judge, Exception | None]:
        with Journal(path, judge_events) as journal:
            judge = Judge(journal, TEXTS)
            pump = Pump(
                judge,
                backend=backend,
                journal=journal,
                budget=Budget(judge.ledger, limits, record=judge.record, sync=journal.sync),
                stop=stop or asyncio.Event(),
                slots=4,
                give_up_after_s=60,
                answered={"classify": len(judge.outcomes)},
            )
            return judge, await pump.run()

    return run_at_once(work())


def verdict(request: Request) -> str:
    return f"{len(request.prompt.messages[0].content)} characters"


VERDICTS = {key: verdict(request(key, text)) for key, text in TEXTS.items()}


def test_every_key_gets_a_verdict(tmp_path: Path) -> None:
    judged, failure = judge(tmp_path / "judge.jsonl", ScriptedBackend(verdict))
    assert failure is None
    assert judged.verdicts == VERDICTS


def test_a_cut_journal_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    judge(path, ScriptedBackend(verdict))
    whole = path.read_bytes()
    for cut in cuts(whole):
        path.write_bytes(whole[:cut])
        backend = ScriptedBackend(verdict)
        judged, failure = judge(path, backend)
        assert failure is None
        assert judged.verdicts == VERDICTS
        lines = whole[:cut].splitlines(keepends=True)
        received = sum(b"completion_received" in line and line.endswith(b"\n") for line in lines)
        assert len(backend.asked) == len(TEXTS) - received


def test_a_limit_caps_the_requests(tmp_path: Path) -> None:
    path, backend = tmp_path / "judge.jsonl", ScriptedBackend(verdict)
    judged, failure = judge(path, backend, limits=Limits(requests=7))
    assert isinstance(failure, LimitReachedError)
    assert len(backend.asked) == len(judged.verdicts) == judged.ledger.spent.requests == 7
    judged, failure = judge(path, backend, limits=Limits(requests=12))
    assert failure is None
    assert judged.verdicts == VERDICTS
    assert len(backend.asked) == 12


def test_a_stop_keeps_the_replies_in_flight(tmp_path: Path) -> None:
    stop = asyncio.Event()

    async def pause(_: Request) -> None:
        await asyncio.sleep(1)
        if len(backend.asked) > 4:
            stop.set()

    path, backend = tmp_path / "judge.jsonl", ScriptedBackend(verdict, pause=pause)
    judged, failure = judge(path, backend, stop=stop)
    assert failure is None
    assert judged.verdicts.keys() == set(backend.asked) < VERDICTS.keys()
    judged, _ = judge(path, backend)
    assert judged.verdicts == VERDICTS
    assert len(backend.asked) == len(TEXTS)


def test_a_failure_keeps_the_replies(tmp_path: Path) -> None:
    class Failing(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            if request.id == "text_6":
                raise EndpointError("the account is closed")
            return await super().complete(request)

    path = tmp_path / "judge.jsonl"
    judged, failure = judge(path, Failing(verdict))
    assert isinstance(failure, EndpointError)
    assert 6 <= len(judged.verdicts) < len(TEXTS)
    assert judge(path, ScriptedBackend(verdict))[0].verdicts == VERDICTS


def test_a_rejected_request_fails_alone(tmp_path: Path) -> None:
    class Rejecting(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            if request.id == "text_6":
                raise RequestRejectedError("too long", status=400)
            return await super().complete(request)

    judged, failure = judge(tmp_path / "judge.jsonl", Rejecting(verdict))
    assert failure is None
    assert judged.verdicts == VERDICTS | {"text_6": "none"}
