"""The events of a journal. Each event is a fact; `pipeline.state.apply` applies the fact to the state.

Two events come from the endpoint: `CompletionReceived` has a paid reply, and `RequestFailed` ends a request
without a reply. Both are durable before they are used. The decisions about them (`Committed`, `Classified`,
`InstancesWritten`) are events too, one per reply, so a later version of the code does not decide an old run
again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from selfinstruct.cost import ExpectedUse, Price
from selfinstruct.cost.worst_case import normalize
from selfinstruct.records import Answer, Completion, Instance, Rejection, Request, Stage, Strict
from selfinstruct.records.ids import item_number

RunEnd = Literal["complete", "interrupted", "limit", "failed"]

Form = Literal["instructions", "kinds", "instances", "tasks", "rows"]
"""Kind of records in an imported file; see `selfinstruct.dataset.importing.source_formats`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Strict):
    """A process started or continued the run."""

    kind: Literal["run_started"] = "run_started"
    versions: Mapping[str, str]
    """Versions of selfinstruct, Python and openai."""
    settings: Mapping[str, str | bool | int | float | tuple[str, ...] | None]
    """Operational settings of this start; a later start uses them unless it sets others."""
    price: Price | None = None
    """Price of the model; None where it is unknown."""
    expected_use: ExpectedUse | None = None
    """Estimated consumption of the run; None without an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved(Strict):
    """The worst case of an attempt that is about to be sent.

    The reply (`CompletionReceived`), `Released`, or another attempt that `replaces` it settles the
    reservation. An unsettled reservation counts as spent, since the attempt may have been answered.
    """

    kind: Literal["reserved"] = "reserved"
    request_id: str
    prompt_tokens: int
    """Maximum."""
    completion_tokens: int
    """Maximum."""
    replaces: bool
    """Whether the previous attempt was not billed, so its reservation is released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Strict):
    """The last attempt at a request failed and was not billed."""

    kind: Literal["released"] = "released"
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionReceived(Strict):
    """A reply and the origin of its prompt."""

    kind: Literal["completion_received"] = "completion_received"
    request_id: str
    stage: Stage
    template: str
    prompt_sha256: str
    demonstration_ids: tuple[str, ...]
    completion: Completion


def received(request: Request, completion: Completion) -> CompletionReceived:
    """Return the event for a reply to a request."""
    return CompletionReceived(
        request_id=request.id,
        stage=request.stage,
        template=request.prompt.template,
        prompt_sha256=request.prompt.sha256,
        demonstration_ids=request.prompt.demonstration_ids,
        completion=_as_journaled(normalize(request, completion), stage=request.stage),
    )


def _as_journaled(completion: Completion, *, stage: Stage) -> Completion:
    """Return the completion with the log-probabilities that a decision needs.

    The decision about a classification needs the first token. Other decisions need the text alone.
    """
    first = completion.logprobs[:1] if completion.logprobs and stage == "classify" else None
    return replace(completion, logprobs=first, prompt_logprobs=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed(Strict):
    """A request that ended without a reply: rejected by the endpoint, or given up."""

    kind: Literal["request_failed"] = "request_failed"
    request_id: str
    stage: Stage
    prompt_sha256: str
    problem: str
    status: int | None
    """HTTP status of the rejection; None without a status, and for a request that was given up."""
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Strict):
    """A candidate that became a task."""

    candidate_id: str
    task_id: str
    instruction: str
    instance: Instance | None = None
    """Instance from the same reply, which makes the task final; None in the two-stage recipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Strict):
    """All decisions about generation request `number`; requests are committed in order of their numbers."""

    kind: Literal["committed"] = "committed"
    number: int
    """Counted from 1."""
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejection, ...]

    @property
    def items(self) -> list[Accepted | Rejection]:
        """All decisions, in the order of the reply."""
        decided: tuple[Accepted | Rejection, ...] = (*self.accepted, *self.rejected)
        return sorted(decided, key=lambda item: item_number(item.candidate_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified(Strict):
    """The answer to whether a task is a classification task."""

    kind: Literal["classified"] = "classified"
    task_id: str
    is_classification: bool | None
    """None where the answer is unclear and the request is repeated with a plainer prompt."""
    answer: Answer
    """Answer in the reply. A second unclear answer counts as no, so instances are written input-first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesWritten(Strict):
    """The final instances of a task, possibly none."""

    kind: Literal["instances_written"] = "instances_written"
    task_id: str
    instances: tuple[Instance, ...]
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefilteredFrom(Strict):
    """The run decides the replies of another run again. The first event of a refiltered run."""

    kind: Literal["refiltered_from"] = "refiltered_from"
    source: str
    """Directory of the other run; for information only."""
    fingerprint: str
    """Fingerprint in the config.yaml of the other run."""
    journal_lines: int
    """Number of lines that were read from the other journal."""
    journal_sha256: str
    """SHA-256 of these lines: `head -n <lines> journal.jsonl | sha256sum`."""
    versions: Mapping[str, int]
    """Versions of the rules, parsers and tokenizer of the other run."""
    settings: Mapping[str, str | int | float]
    """Settings of the other run that affect decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTask(Strict):
    """A task that only the source of a refiltered run has.

    Prompts may have shown the task, and replies may be about it, so its id and text must stay known.
    """

    kind: Literal["source_task"] = "source_task"
    task_id: str
    """"source:" and the id in the source; this run may use the same id for another task."""
    candidate_id: str
    """Id of the candidate in the source."""
    instruction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile(Strict):
    """A file with imported tasks. The first event of an imported run."""

    kind: Literal["imported_file"] = "imported_file"
    name: str
    """File name without folders; a number distinguishes a second file of the same name."""
    sha256: str
    """SHA-256 of the file, 64 hex digits."""
    form: Form
    """Detected kind of records."""
    records: int
    tasks: int
    """Tasks that occur in this file first. As many events follow, so a loss is detected."""
    profile: str
    """Profile that parsed raw answers and raw instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskImported(Strict):
    """An imported task. Imports pass no rule and no novelty check."""

    kind: Literal["task_imported"] = "task_imported"
    task_id: str
    """"task_000001" and so on, in one series with tasks that are accepted later."""
    instruction: str
    place: str
    """First occurrence: "regen.json:17 (record 4)", "machine_generated_instructions.jsonl:17"."""
    is_classification: bool | None
    """None where it is unknown."""
    answer: Answer | None
    """Answer that the classification was read from; None without an answer."""
    instances: tuple[Instance, ...] | None
    """Final instances; None where no instance is usable, so the run asks for instances."""
    rejected: tuple[Rejection, ...]
    """Unusable instances, with ids such as "import/task_000001#2"."""
    model: str | None
    """Model that wrote the task; None where it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Strict):
    """A process ended its work on the run."""

    kind: Literal["run_finished"] = "run_finished"
    reason: RunEnd
    detail: str = ""
    """Error that stopped the run; "" without an error."""


Outcome = CompletionReceived | RequestFailed
"""The end of a request."""

Decision = Committed | Classified | InstancesWritten
"""A decision about a reply."""

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
