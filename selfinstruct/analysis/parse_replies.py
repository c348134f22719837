r"""Parse recorded replies as a run would, to debug a prompt, a new model, or a profile.

Defines the lines that `selfinstruct parse` reads and writes. Reads no files and sends no requests.

    line     {"completion": "9. Name a river in Spain.\n10. Sum", "finish_reason": "length"}
    result   {"candidates": [{"instruction": "Name a river in Spain."}],
              "rejections": [{"reason": "truncated", "text": "Sum"}]}
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.filters import rejection_reason
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.recipes import RECIPES
from selfinstruct.pipeline.recipes.types import ClassifyStage, InstancesStage
from selfinstruct.records import Completion, Stage
from selfinstruct.records.ids import item_number

_NUMBERED = re.compile(r"^\s*(\d{1,3})\. (?:Instruction: )?(.*\S)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReply:
    """One recorded reply: an input line of `selfinstruct parse`."""

    completion: str
    finish_reason: str | None = None
    """Why the reply ended. None means that it ended normally."""
    instruction: str = ""
    """The task's instruction; used only for the stages classify and instances."""
    is_classification: bool = False
    """True if the prompt asked for the output before the input; used only for the stage instances."""
    num_prompt_instructions: int | None = None
    """Number of tasks in the prompt; used only for the stage generate. None means the recipe's default."""
    prompt: str = ""
    """The prompt, to recognize demonstrations that the reply repeats; used only for the stage generate."""

    @classmethod
    def from_mapping(cls, line: object) -> "RecordedReply":
        """Return the reply in a parsed JSON line. Ignores unknown fields and null values.

        Raises ValueError, with the problem as its text, if the line is not a recorded reply.
        """
        if not isinstance(line, Mapping):
            raise ValueError(f"is not an object but {type(line).__name__}")  # noqa: TRY004
        if "completion" not in line:
            raise ValueError("has no 'completion'")
        # If the model refused, the completion can be null.
        fields: dict[str, Any] = {"completion": ""}
        fields |= {name: line[name] for name in _KINDS if line.get(name) is not None}
        for name, value in fields.items():
            kind, words = _KINDS[name]
            if type(value) is not kind:
                raise ValueError(f"has a {name!r} that is not {words}")
        if fields.get("num_prompt_instructions", 1) < 1:
            raise ValueError("has a 'num_prompt_instructions' below 1")
        return cls(**fields)


_KINDS: Mapping[str, tuple[type, str]] = {
    "completion": (str, "text"),
    "finish_reason": (str, "text"),
    "instruction": (str, "text"),
    "is_classification": (bool, "true or false"),
    "num_prompt_instructions": (int, "a whole number"),
    "prompt": (str, "text"),
}


def parse_again(
    reply: RecordedReply,
    *,
    stage: Stage,
    profile: str = "default",
    recipe: str = "self-instruct",
    api: str | None = None,
    scripts: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Parse and filter a reply. Novelty is not checked, because that needs a pool.

    Returns a dict with `rejections` and, depending on the stage, `candidates` (in the order of the reply),
    `is_classification` (None if unclear) or `instances`. `api` is "completions" if the reply continues its
    prompt, and "chat" if it answers the prompt; None detects this from the text. If `scripts` is not empty,
    candidates in other scripts are rejected (see `pipeline.filters.scripts_of`). Raises ValueError for a
    stage that the recipe does not have.
    """
    completion = Completion(
        text=reply.completion, finish_reason=reply.finish_reason, model="recorded"
    )
    method = RECIPES[recipe]
    if stage == "classify":
        answer = method.stage(ClassifyStage).parsers[profile](completion, reply.instruction)
        is_classification = {"yes": True, "no": False, "unclear": None}[answer]
        return {"is_classification": is_classification, "rejections": []}
    if stage == "instances":
        asked = AskedInstances(output_first=reply.is_classification, instruction=reply.instruction)
        parsed = method.stage(InstancesStage).parsers[profile]("reply", completion, asked)
        instances = [{"input": i.input, "output": i.output} for i in parsed.instances]
        rejections = [_rejection(str(r.reason), r.text) for r in parsed.rejections]
        return {"instances": instances, "rejections": rejections}
    shown = reply.num_prompt_instructions or RunConfig(recipe=recipe).demonstrations
    asked_list = AskedList(
        first_number=shown + 1,
        demonstrations=_demonstrations(reply.prompt, shown),
        continues=None if api is None else api == "completions",
    )
    listed = method.generate.parsers[profile]("reply", completion, asked_list)
    rules = method.all_rules(profile, scripts)
    rejected = {r.candidate_id: _rejection(str(r.reason), r.text) for r in listed.rejections}
    candidates: list[dict[str, str]] = []
    for candidate in listed.candidates:
        reason = rejection_reason(candidate.instruction, rules)
        if reason is not None:
            rejected[candidate.id] = _rejection(str(reason), candidate.instruction)
            continue
        fields = {"instruction": candidate.instruction}
        if candidate.instance is not None:
            fields |= {"input": candidate.instance.input, "output": candidate.instance.output}
        candidates.append(fields)
    return {
        "candidates": candidates,
        "rejections": [rejected[name] for name in sorted(rejected, key=item_number)],
    }


def _rejection(reason: str, text: str) -> dict[str, str]:
    return {"reason": reason, "text": text}


def _demonstrations(prompt: str, count: int) -> tuple[str, ...] | None:
    """Return the first `count` numbered instructions in a prompt; None if one of them is missing."""
    by_number = {int(number): text for number, text in _NUMBERED.findall(prompt)}
    wanted = range(1, count + 1)
    return tuple(by_number[n] for n in wanted) if by_number.keys() >= set(wanted) else None
