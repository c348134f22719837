r"""Parse recorded replies as a run would, to debug a prompt, a new model, or a profile.

Defines the lines that `selfinstruct parse` reads and writes. Reads no files and sends nothing.

    line     {"completion": "9. Name a river in Spain.\n10. Sum", "finish_reason": "length"}
    result   {"candidates": [{"instruction": "Name a river in Spain."}],
              "rejections": [{"reason": "truncated", "text": "Sum"}]}
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.records import Completion, Stage
from selfinstruct.records.ids import item_number

_NUMBERED = re.compile(r"^\s*(\d{1,3})\. (?:Instruction: )?(.*\S)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReply:
    """A line of a recorded run."""

    completion: str
    finish_reason: str | None = None
    """None counts as a reply that ended normally."""
    instruction: str = ""
    """Instruction of the task, for classify and instances."""
    is_classification: bool = False
    """Whether the prompt asked for the output first, for instances."""
    num_prompt_instructions: int | None = None
    """Tasks in the prompt, for generate; None means the recipe's default."""
    prompt: str = ""
    """The prompt, for generate, to recognise demonstrations that the reply repeats."""

    @classmethod
    def from_mapping(cls, line: object) -> "RecordedReply":
        """Check a parsed line. Ignores unknown fields and null. Raises ValueError with the problem."""
        if not isinstance(line, Mapping):
            raise ValueError(f"is not an object but {type(line).__name__}")  # noqa: TRY004
        if "completion" not in line:
            raise ValueError("has no 'completion'")
        # The completion of a refusal can be null.
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
    """Parse and filter a reply; the novelty check is left out because it needs a pool.

    Returns `candidates` (in order), `is_classification` (None if unclear) or `instances`, and always
    `rejections`. `api` is "completions" for a reply that continues its prompt, "chat" for an answer; None
    detects that from the text. With `scripts`, see `pipeline.filters.scripts_of`, candidates in other scripts
    are rejected. Never raises.
    """
    completion = Completion(
        text=reply.completion, finish_reason=reply.finish_reason, model="recorded"
    )
    reader = PROFILES[profile]
    if stage == "classify":
        answer = reader.read_answer(completion, reply.instruction)
        is_classification = {"yes": True, "no": False, "unclear": None}[answer]
        return {"is_classification": is_classification, "rejections": []}
    if stage == "instances":
        asked = AskedInstances(output_first=reply.is_classification, instruction=reply.instruction)
        parsed = reader.read_instances("reply", completion, asked)
        instances = [{"input": i.input, "output": i.output} for i in parsed.instances]
        rejections = [_rejection(str(r.reason), r.text) for r in parsed.rejections]
        return {"instances": instances, "rejections": rejections}
    shown = reply.num_prompt_instructions or RunConfig(recipe=recipe).demonstrations
    asked_list = AskedList(
        first_number=shown + 1,
        demonstrations=_demonstrations(reply.prompt, shown),
        continues=None if api is None else api == "completions",
    )
    listed = reader.read_list[recipe]("reply", completion, asked_list)
    rejected = {r.candidate_id: _rejection(str(r.reason), r.text) for r in listed.rejections}
    candidates: list[dict[str, str]] = []
    for candidate in listed.candidates:
        reason = reader.rejection_reason(candidate.instruction, recipe=recipe, scripts=scripts)
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
    """Return the numbered instructions in a prompt; None if the prompt has fewer than `count`."""
    by_number = {int(number): text for number, text in _NUMBERED.findall(prompt)}
    wanted = range(1, count + 1)
    return tuple(by_number[n] for n in wanted) if by_number.keys() >= set(wanted) else None
