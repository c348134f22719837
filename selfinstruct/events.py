"""What may stand in a journal. Each event is a fact; `pipeline.state.apply` says what follows from it.

Two kinds come from outside and are durable before anything is done with them, since they were paid for
(`CompletionReceived`) or stand for a request that will not be asked again (`RequestFailed`). The decisions
derived from them (`Committed`, `Classified`, `InstancesWritten`) are written too, one event for a whole
reply, so that no later version of the code decides an old run anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from selfinstruct.cost import ExpectedUse, Price
from selfinstruct.cost.worst_case import normalize
from selfinstruct.records import STRICT, Answer, Completion, Instance, Rejection, Request, Stage
from selfinstruct.records.ids import item_number

RunEnd = Literal["complete", "interrupted", "limit", "failed"]

Form = Literal["instructions", "kinds", "instances", "tasks", "rows"]
"""What the records of a file say that is imported, see `selfinstruct.dataset.importing.source_formats`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A process began or went on with the run."""

    __pydantic_config__ = STRICT

    kind: Literal["run_started"] = "run_started"
    versions: Mapping[str, str]
    """Version of the package, of Python and of openai."""
    settings: Mapping[str, str | bool | int | float | tuple[str, ...] | None]
    """The operational settings in force: a later start without any takes these over."""
    price: Price | None = None
    """What the model costs, as far as is known."""
    expected_use: ExpectedUse | None = None
    """What the run was expected to consume, where somebody had made an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """An attempt is about to be sent, and this is the most that it can consume.

    What settles it: the reply (`CompletionReceived`), `Released`, or another attempt that `replaces` it. One
    that nothing settles was perhaps answered and never heard of, and counts as spent.
    """

    __pydantic_config__ = STRICT

    kind: Literal["reserved"] = "reserved"
    request_id: str
    prompt_tokens: int
    """At most."""
    completion_tokens: int
    """At most."""
    replaces: bool
    """Whether the attempt before it was not billed, so that what was reserved for that one is free again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The last attempt of a request failed in a way that is not billed."""

    __pydantic_config__ = STRICT

    kind: Literal["released"] = "released"
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionReceived:
    """A reply, with what is needed to know how it was asked for."""

    __pydantic_config__ = STRICT

    kind: Literal["completion_received"] = "completion_received"
    request_id: str
    stage: Stage
    template: str
    prompt_sha256: str
    demonstration_ids: tuple[str, ...]
    completion: Completion


def received(request: Request, completion: Completion) -> CompletionReceived:
    """Return the event of a reply to a request."""
    return CompletionReceived(
        request_id=request.id,
        stage=request.stage,
        template=request.prompt.template,
        prompt_sha256=request.prompt.sha256,
        demonstration_ids=request.prompt.demonstration_ids,
        completion=normalize(request, completion),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed:
    """A request that is not sent again, refused or given up: nothing comes of it."""

    __pydantic_config__ = STRICT

    kind: Literal["request_failed"] = "request_failed"
    request_id: str
    stage: Stage
    prompt_sha256: str
    problem: str
    status: int | None
    """HTTP status of the refusal; None where there was none, or the request was given up."""
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A candidate that became a task of the pool."""

    __pydantic_config__ = STRICT

    candidate_id: str
    task_id: str
    instruction: str
    instance: Instance | None = None
    """Where the same reply held it; then nothing more is asked about the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """All decisions about generation request `number`, in number order, whole or absent."""

    __pydantic_config__ = STRICT

    kind: Literal["committed"] = "committed"
    number: int
    """From 1."""
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejection, ...]

    @property
    def items(self) -> list[Accepted | Rejection]:
        """All decisions, in the order of the reply."""
        decided: tuple[Accepted | Rejection, ...] = (*self.accepted, *self.rejected)
        return sorted(decided, key=lambda item: item_number(item.candidate_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What the model said to whether a task is a classification task."""

    __pydantic_config__ = STRICT

    kind: Literal["classified"] = "classified"
    task_id: str
    is_classification: bool | None
    """None where the answer is unclear and the question is put once more, in plainer words."""
    answer: Answer
    """What the reply said. If it stays unclear it counts as no: instances are written input-first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesWritten:
    """The instances of a task. They are final, and may be none."""

    __pydantic_config__ = STRICT

    kind: Literal["instances_written"] = "instances_written"
    task_id: str
    instances: tuple[Instance, ...]
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefilteredFrom:
    """The replies that follow are those of another run, decided again: the first line of such a journal."""

    __pydantic_config__ = STRICT

    kind: Literal["refiltered_from"] = "refiltered_from"
    source: str
    """Directory of that run, for a reader who looks for it; nothing depends on it."""
    fingerprint: str
    """Of that run, as its config.yaml has it."""
    journal_lines: int
    """Lines of its journal that were read …"""
    journal_sha256: str
    """… and their hash: `head -n <lines> journal.jsonl | sha256sum`."""
    versions: Mapping[str, int]
    """Of the rules, parsers and tokenizer that it was decided by."""
    settings: Mapping[str, str | int | float]
    """Those settings of it that concern deciding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTask:
    """A task of the run that this one was refiltered from, and none of this one, at least not in its words.

    Prompts may have shown it, and replies may be about it, so its name and its text must stay known.
    """

    __pydantic_config__ = STRICT

    kind: Literal["source_task"] = "source_task"
    task_id: str
    """"source:" and its id there, which may be another task's here."""
    candidate_id: str
    """What it was there."""
    instruction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """A file that tasks of this run were imported from; the first line of such a journal is one."""

    __pydantic_config__ = STRICT

    kind: Literal["imported_file"] = "imported_file"
    name: str
    """Its name without folders; a second file of that name is told from it by a number."""
    sha256: str
    """Of its bytes as they lay there, 64 hex digits."""
    form: Form
    """What its records were recognised as."""
    records: int
    tasks: int
    """Tasks that this file was the first to name. As many events follow, so that a loss is noticed."""
    profile: str
    """By which raw answers and raw instances were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskImported:
    """A task that was there before the run, as files tell of it: no rule and no novelty check was applied."""

    __pydantic_config__ = STRICT

    kind: Literal["task_imported"] = "task_imported"
    task_id: str
    """"task_000001" and so on, as of tasks that are accepted later."""
    instruction: str
    place: str
    """Where it is first named: "regen.json:17 (record 4)", "machine_generated_instructions.jsonl:17"."""
    is_classification: bool | None
    """None where it is not known."""
    answer: Answer | None
    """What the reply said that the kind was read from; None where there was none."""
    instances: tuple[Instance, ...] | None
    """They are final; None where there is none that can be used, and they are to be asked for."""
    rejected: tuple[Rejection, ...]
    """Instances that cannot be used, with ids "import/task_000001#2"; those without are kept, in order."""
    model: str | None
    """That wrote it, where a file says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A process left the run in good order."""

    __pydantic_config__ = STRICT

    kind: Literal["run_finished"] = "run_finished"
    reason: RunEnd
    detail: str = ""
    """What stopped it, where something did."""


Outcome = CompletionReceived | RequestFailed
"""How a request ended."""

Decision = Committed | Classified | InstancesWritten
"""What follows from an outcome."""

Event = (
    RunStarted
    | RefilteredFrom
    | SourceTask
    | ImportedFile
    | TaskImported
    | Reserved
    | Released
    | Outcome
    | Decision
    | RunFinished
)
