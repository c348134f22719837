"""The events in a run's journal. `pipeline.state.apply` updates the run's state from each event.

Two events record what the endpoint returned: `CompletionReceived` has a reply, and `RequestFailed` ends a
request without a reply. Both are durable before they are used. The decisions about them (`Committed`,
`Classified`, `InstancesWritten`) are events too, one for each reply. So a later version of selfinstruct does
not change the decisions in an old run.
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
"""Kind of the records in an imported file; see `selfinstruct.dataset.importing.source_formats`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Strict):
    """A process started or continued the run."""

    kind: Literal["run_started"] = "run_started"
    versions: Mapping[str, str]
    """Versions of selfinstruct, Python and openai."""
    settings: Mapping[str, str | bool | int | float | tuple[str, ...] | None]
    """Operational settings of this process. The next process uses them too, unless it is given others."""
    price: Price | None = None
    """Price of the model; None if it is unknown."""
    expected_use: ExpectedUse | None = None
    """Estimated consumption of the whole run; None if there is no estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved(Strict):
    """A reservation of the worst-case consumption of an attempt that is about to be sent.

    The reservation is settled by the reply (`CompletionReceived`), by `Released`, or by the reservation of
    another attempt that `replaces` this one. If it is never settled, it counts as spent, because the endpoint
    may have answered the attempt.
    """

    kind: Literal["reserved"] = "reserved"
    request_id: str
    prompt_tokens: int
    """Maximum number of prompt tokens that the attempt can consume."""
    completion_tokens: int
    """Maximum number of reply tokens that the attempt can consume."""
    replaces: bool
    """True if the reservation of the previous attempt is released, because that attempt was not billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Strict):
    """The last attempt at a request failed and was not billed, so its reservation is released."""

    kind: Literal["released"] = "released"
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionReceived(Strict):
    """A reply, with information on the prompt that it answers."""

    kind: Literal["completion_received"] = "completion_received"
    request_id: str
    stage: Stage
    template: str
    prompt_sha256: str
    demonstration_ids: tuple[str, ...]
    completion: Completion


def received(request: Request, completion: Completion) -> CompletionReceived:
    """Return the event that records a reply to a request."""
    return CompletionReceived(
        request_id=request.id,
        stage=request.stage,
        template=request.prompt.template,
        prompt_sha256=request.prompt.sha256,
        demonstration_ids=request.prompt.demonstration_ids,
        completion=_as_journaled(normalize(request, completion), stage=request.stage),
    )


def _as_journaled(completion: Completion, *, stage: Stage) -> Completion:
    """Return the completion with only those log-probabilities that a decision may use.

    A classification may use those of the first token. The other decisions use only the text.
    """
    first = completion.logprobs[:1] if completion.logprobs and stage == "classify" else None
    return replace(completion, logprobs=first, prompt_logprobs=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFailed(Strict):
    """A request that ended without a reply, because the endpoint refused it or it was given up."""

    kind: Literal["request_failed"] = "request_failed"
    request_id: str
    stage: Stage
    prompt_sha256: str
    problem: str
    status: int | None
    """HTTP status with which the endpoint refused the request; None if there was no status or the request was
    given up."""
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Strict):
    """A candidate that was accepted as a task."""

    candidate_id: str
    task_id: str
    instruction: str
    instance: Instance | None = None
    """Instance from the same reply, with which the task is complete; None if the recipe writes instances in
    separate requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Strict):
    """All decisions on the reply to one generation request. Requests are committed in number order."""

    kind: Literal["committed"] = "committed"
    number: int
    """Number of the generation request, counting from 1."""
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejection, ...]

    @property
    def items(self) -> list[Accepted | Rejection]:
        """All accepted and rejected items, in the order of the reply."""
        decided: tuple[Accepted | Rejection, ...] = (*self.accepted, *self.rejected)
        return sorted(decided, key=lambda item: item_number(item.candidate_id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified(Strict):
    """The decision on whether a task is a classification task."""

    kind: Literal["classified"] = "classified"
    task_id: str
    is_classification: bool | None
    """True if the task is a classification task; None if the answer was unclear and the model is asked again,
    with a plainer prompt."""
    answer: Answer
    """Answer in the reply. A second unclear answer counts as no, so the input is written before the
    output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesWritten(Strict):
    """The decision on a task's final instances, of which there may be none."""

    kind: Literal["instances_written"] = "instances_written"
    task_id: str
    instances: tuple[Instance, ...]
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefilteredFrom(Strict):
    """The first event in a refiltered run, which decides again on the replies of another run, its source."""

    kind: Literal["refiltered_from"] = "refiltered_from"
    source: str
    """Directory of the source run; for information only."""
    fingerprint: str
    """Fingerprint in the source run's config.yaml."""
    journal_lines: int
    """Number of lines that were read from the source run's journal."""
    journal_sha256: str
    """SHA-256 of these lines, as computed by `head -n <lines> journal.jsonl | sha256sum`."""
    versions: Mapping[str, int]
    """Versions of the rules, parsers and tokenizer that the source run used."""
    settings: Mapping[str, str | int | float]
    """The source run's settings that affect decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTask(Strict):
    """A task that exists in the source of a refiltered run, but not in the refiltered run.

    Its id and instruction are recorded, because prompts may have shown the task, and replies may be about it.
    """

    kind: Literal["source_task"] = "source_task"
    task_id: str
    """Task id in the source run, prefixed with "source:", because this run may use the same id for another
    task."""
    candidate_id: str
    """Id of the task's candidate in the source run."""
    instruction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile(Strict):
    """A file whose tasks were imported. An imported run begins with these events."""

    kind: Literal["imported_file"] = "imported_file"
    name: str
    """File name without its directory. If several files have the same name, a number distinguishes them."""
    sha256: str
    """SHA-256 of the file; 64 hex digits."""
    form: Form
    """Kind of the records in the file, as detected."""
    records: int
    """Number of records in the file."""
    tasks: int
    """Number of tasks whose first occurrence is in this file. The same number of `TaskImported` events must
    follow, so that a loss is detected."""
    profile: str
    """Name of the profile whose parsers read the raw answers and raw instances in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskImported(Strict):
    """An imported task. Neither the rules nor the novelty check apply to imported tasks."""

    kind: Literal["task_imported"] = "task_imported"
    task_id: str
    """"task_000001" and so on. Tasks that are accepted later continue this numbering."""
    instruction: str
    place: str
    """Where the task first occurs, such as "regen.json:17 (record 4)"."""
    is_classification: bool | None
    """True if it is a classification task; None if this is unknown."""
    answer: Answer | None
    """Answer that determined the classification; None if the file has no answer."""
    instances: tuple[Instance, ...] | None
    """Final instances; None if no instance was usable, so that the run requests instances."""
    rejected: tuple[Rejection, ...]
    """Unusable instances, with ids such as "import/task_000001#2"."""
    model: str | None
    """Model that wrote the task; None if it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Strict):
    """A process stopped working on the run."""

    kind: Literal["run_finished"] = "run_finished"
    reason: RunEnd
    detail: str = ""
    """Error that stopped the run; "" if there was none."""


Outcome = CompletionReceived | RequestFailed
"""How a request ended: with a reply, or without one."""

Decision = Committed | Classified | InstancesWritten
"""A decision on the outcome of a request."""

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
