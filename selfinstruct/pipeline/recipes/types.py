"""The kinds of stages, and a recipe, which chooses some of these kinds and fills in the details.

The first stage asks for new tasks. Later stages ask about one task each, until the task is final.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import Classified, CompletionReceived, InstancesWritten, Outcome
from selfinstruct.pipeline.decision_profiles import PROFILES
from selfinstruct.pipeline.filters import Rule, is_in_wrong_script
from selfinstruct.pipeline.parse.types import (
    AnswerParser,
    AskedInstances,
    InstanceParser,
    ListParser,
)
from selfinstruct.pipeline.state import RunState
from selfinstruct.records import Answer, Reason, Sampling, Stage, Task
from selfinstruct.records.ids import classification_id, instances_id, task_of

CONTINUES = "because a base model (--api completions) continues from there"
"""Reason for the end of a prompt, in messages."""
_PARAMETERS = ("temperature", "top_p", "presence_penalty", "max_tokens")
"""Sampling parameters. A stage's setting is `<stage>_<parameter>`; not every stage has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeStage:
    """The requests of a recipe for one purpose."""

    name: ClassVar[Stage]
    sample: ClassVar[Mapping[str, Any]]
    """An example of every value that a template may use. Every template must use the first one."""
    templates: tuple[str, ...]
    """File names of all templates that a run may use; names may be equal."""
    stops: Callable[[RunConfig], tuple[str, ...]]
    """Stop sequences that end a base model's reply (see Self-Instruct, Table 4).

    Numbers and labels match only at the start of a line, because the published stop sequence "16." would also
    match in "in 1916."."""
    reply_tokens: tuple[float, float, float]
    """Lowest, expected and highest number of tokens in a reply, for estimates before the first reply."""

    def template_names(self, config: RunConfig) -> tuple[str, ...]:  # noqa: ARG002 - some stages choose
        """Return the file names of the templates that a run uses."""
        return tuple(dict.fromkeys(self.templates))

    def sampling(self, config: RunConfig) -> Sampling:
        """Return the sampling parameters."""
        given: dict[str, Any] = {n: getattr(config, f"{self.name}_{n}", None) for n in _PARAMETERS}
        stop = self.stops(config) if config.api == "completions" else ()
        return Sampling(model=config.model, stop=stop, extra=config.extra_body or {}, **given)


_DEMONSTRATIONS = [
    {"instruction": "Name a river.", "input": "", "output": "The Elbe"},
    {"instruction": "Sum up.", "input": "A text.", "output": "A sum."},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateStage(RecipeStage):
    """The first stage: a prompt shows tasks of the pool and asks for new ones."""

    name = "generate"
    sample = {"demonstrations": _DEMONSTRATIONS, "first_number": 3, "last_number": 10}  # noqa: RUF012
    templates: tuple[str, ...] = ("generate.txt", "generate_classification.txt")
    """Templates for any tasks, and for classification tasks only."""
    instructions_asked: int
    """Number of new instructions that one request asks for."""
    needs_instances: bool
    """True if every demonstration shows an instance."""
    shown: Callable[[RunConfig, Task], tuple[str, str]]
    """Returns the input and the output that a demonstration shows; "" for a part that is not shown."""
    problem: Callable[[RunConfig, str], str]
    """Returns why a prompt, made from `sample`, would lead to unreadable replies; "" if it fits."""
    parsers: Mapping[str, ListParser]
    """Parsers of replies, by profile."""

    def template_names(self, config: RunConfig) -> tuple[str, ...]:
        """Return the file name of the template that asks for new instructions."""
        return (self.templates[config.classification_seeds_only],)

    def shows_instances(self, config: RunConfig) -> bool:
        """Return whether demonstrations show instances."""
        return self.needs_instances or config.show_input


@dataclass(frozen=True, slots=True, kw_only=True)
class _TaskStage(RecipeStage):
    sample = {"instruction": "Name three rivers of Europe."}  # noqa: RUF012
    settles: ClassVar[str]
    """Field of a task that is None before the stage."""
    results: ClassVar[tuple[Any, ...]]
    """Values of the field that lead to different requests."""

    def is_open(self, task: Task) -> bool:
        """Return whether a task still needs the stage."""
        return getattr(task, self.settles) is None

    def after(self, task: Task) -> list[Task]:
        """Return the task after each result."""
        results: list[dict[str, Any]] = [{self.settles: result} for result in self.results]
        return [replace(task, **result) for result in results]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyStage(_TaskStage):
    """The question whether a task is a classification task; some profiles repeat the question once."""

    name = "classify"
    settles = "is_classification"
    results = (True, False)
    templates: tuple[str, ...] = ("classify.txt", "classify_again.txt")
    """Templates for the first question and the second one."""
    parsers: Mapping[str, AnswerParser]
    """Parsers of replies, by profile."""

    def template_names(self, config: RunConfig) -> tuple[str, ...]:
        """Return the file names of the templates for the questions that the profile asks."""
        return self.templates if PROFILES[config.profile].asks_twice else self.templates[:1]

    def request_ids(self, task_id: str) -> tuple[str, ...]:
        """Return the ids of all requests that may be sent about a task, in order."""
        return classification_id(task_id, again=False), classification_id(task_id, again=True)

    def next_request(self, state: RunState, task: Task) -> tuple[str, str]:
        """Return the id of the next request about a task, and the file name of its template."""
        again = task.id in state.unclear_once
        return self.request_ids(task.id)[again], self.templates[again]

    def decide(self, state: RunState, config: RunConfig, outcome: Outcome) -> Classified:
        """Decide whether a task is a classification task, or whether to ask the model again.

        A failed request counts as the answer "unclear".
        """
        task_id = task_of(outcome.request_id)
        answer: Answer = "unclear"
        if isinstance(outcome, CompletionReceived):
            instruction = state.pool.by_id(task_id).instruction
            answer = self.parsers[config.profile](outcome.completion, instruction)
        asks_twice = PROFILES[config.profile].asks_twice
        ask_again = asks_twice and answer == "unclear" and task_id not in state.unclear_once
        if state.source is not None:
            # A refiltered run sends no requests, so it can only use a second answer that exists already.
            ask_again = ask_again and classification_id(task_id, again=True) in state.waiting
        is_classification = None if ask_again else answer == "yes"
        return Classified(task_id=task_id, is_classification=is_classification, answer=answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesStage(_TaskStage):
    """The request for the instances of a task: labels before inputs for a classification task."""

    name = "instances"
    sample = {**_TaskStage.sample, "max_instances": 5}  # noqa: RUF012
    settles = "instances"
    results = ((),)
    templates: tuple[str, ...] = ("instances_input_first.txt", "instances_output_first.txt")
    """Templates for other tasks, and for classification tasks."""
    parsers: Mapping[str, InstanceParser]
    """Parsers of replies, by profile."""

    def request_ids(self, task_id: str) -> tuple[str, ...]:
        """Return the ids of all requests that may be sent about a task, in order."""
        return (instances_id(task_id),)

    def next_request(self, _state: RunState, task: Task) -> tuple[str, str]:
        """Return the id of the next request about a task, and the file name of its template."""
        return instances_id(task.id), self.templates[bool(task.is_classification)]

    def decide(self, state: RunState, config: RunConfig, outcome: Outcome) -> InstancesWritten:
        """Decide which of a task's instances to accept. After a failed request, the task has no instances."""
        task_id = task_of(outcome.request_id)
        if not isinstance(outcome, CompletionReceived):
            return InstancesWritten(task_id=task_id, instances=(), rejected=())
        # Use the template of the request, because a refiltered run may classify the task differently.
        usual, other = self.templates
        is_other = outcome.template.partition("@")[0].endswith(f"/{other}")
        asked = AskedInstances(
            output_first=is_other and other != usual,
            instruction=state.pool.by_id(task_id).instruction,
            limit=config.max_instances,
        )
        parse = self.parsers[config.profile]
        found = parse(outcome.request_id, outcome.completion, asked)
        return InstancesWritten(
            task_id=task_id, instances=found.instances, rejected=found.rejections
        )


TaskStage = ClassifyStage | InstancesStage
"""A stage whose requests are each about one accepted task."""
S = TypeVar("S", bound=RecipeStage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A generation method."""

    name: str
    title: str
    """Name in the title of a dataset card."""
    rules: Mapping[str, tuple[Rule, ...]]
    """Rules for instructions, by profile."""
    generate: GenerateStage
    task_stages: tuple[TaskStage, ...] = ()
    """Stages about each accepted task, in order. Without any, a reply of the first stage has whole tasks."""

    @property
    def stages(self) -> tuple[GenerateStage | TaskStage, ...]:
        """All stages, in order."""
        return (self.generate, *self.task_stages)

    @property
    def asks_about_tasks(self) -> bool:
        """True if requests about each accepted task complete the task."""
        return bool(self.task_stages)

    def stage(self, kind: type[S]) -> S:
        """Return the stage of this kind. Raises ValueError if the recipe has none."""
        for stage in self.stages:
            if isinstance(stage, kind):
                return stage
        raise ValueError(f"the recipe {self.name} has no stage {kind.name}")

    def all_rules(
        self, profile: str, scripts: frozenset[str], tokens: Callable[[str], object] = str
    ) -> tuple[Rule, ...]:
        """Return the rules, and further ones about the scripts of the seed tasks and the tokens of a text.

        See `filters.scripts_of`. Without tokens, even an exact copy would count as novel.
        """
        is_foreign: Rule = Reason.WRONG_SCRIPT, lambda text: is_in_wrong_script(text, scripts)
        is_empty: Rule = Reason.NO_TOKENS, lambda text: not tokens(text)
        more = (is_foreign, is_empty) if PROFILES[profile].checks_more else ()
        return self.rules[profile] + more

    def next_stage(self, task: Task) -> TaskStage:
        """Return the stage of the next request about a task that is not final."""
        return next(stage for stage in self.task_stages if stage.is_open(task))
