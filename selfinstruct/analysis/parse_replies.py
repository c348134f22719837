r"""Recorded replies, read as a run would read them: for debugging a prompt, a new model, or a profile.

Knows the shape of the lines that `selfinstruct parse` takes and gives; reads no files and asks nobody.

    line     {"completion": "9. Name a river in Spain.\n10. Sum", "finish_reason": "length"}
    result   {"candidates": [{"instruction": "Name a river in Spain."}],
              "rejections": [{"reason": "truncated", "text": "Sum"}]}
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.parse.types import AskedInstances, AskedList
from selfinstruct.pipeline.profiles import PROFILES
from selfinstruct.records import Completion, Rejection, Stage
from selfinstruct.records.ids import item_number

_SHOWN = re.compile(r"^\s*(\d{1,3})\. (?:Instruction: )?(.*\S)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReply:
    """A line of a recorded run. Raises ValueError, with what is wrong, for one that is none."""

    completion: str
    finish_reason: str | None = None
    """None is read as a reply that ended by itself."""
    instruction: str = ""
    """For classify and instances: the task that was asked about."""
    is_classification: bool = False
    """For instances: whether labels were asked for first."""
    num_prompt_instructions: int | None = None
    """For generate: tasks shown in the prompt; None stands for the recipe's own number."""
    prompt: str = ""
    """For generate: the prompt, so that its demonstrations are recognised where the reply repeats them."""

    @classmethod
    def from_mapping(cls, line: object) -> "RecordedReply":
        """Check a parsed line; fields that are not ours are ignored, and null is no value."""
        if not isinstance(line, Mapping):
            raise ValueError(f"is not an object but {type(line).__name__}")  # noqa: TRY004
        if "completion" not in line:
            raise ValueError("has no 'completion'")
        # A reply may be null: a refusal, or nothing at all.
        said = line["completion"]
        given: dict[str, Any] = {"completion": "" if said is None else said}
        given |= {n: line[n] for n in _KINDS if line.get(n) is not None and n != "completion"}
        for name, value in given.items():
            kind, words = _KINDS[name]
            if type(value) is not kind:
                raise ValueError(f"has a {name!r} that is not {words}")
        if given.get("num_prompt_instructions", 1) < 1:
            raise ValueError("has a 'num_prompt_instructions' below 1")
        return cls(**given)


_KINDS: Mapping[str, tuple[type, str]] = {
    "completion": (str, "text"),
    "finish_reason": (str, "text"),
    "instruction": (str, "text"),
    "is_classification": (bool, "true or false"),
    "num_prompt_instructions": (int, "a whole number"),
    "prompt": (str, "text"),
}


def read_again(
    reply: RecordedReply,
    *,
    stage: Stage,
    profile: str = "default",
    recipe: str = "self-instruct",
    api: str | None = None,
    scripts: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """What a run makes of a reply, up to novelty, which needs a pool.

    `candidates` (those that pass the rules, in order), `is_classification` (None where unclear) or
    `instances` (all good ones), and always `rejections`. `api` says whether the reply goes on from the end of
    its prompt ("completions") or not ("chat"); None leaves it to the text. With `scripts`, see
    `pipeline.filters.scripts_of`, candidates in another script are rejected. Never raises.
    """
    completion = Completion(
        text=reply.completion, finish_reason=reply.finish_reason, model="recorded"
    )
    reader = PROFILES[profile]
    if stage == "classify":
        answer = reader.read_answer(completion, instruction=reply.instruction)
        return {
            "is_classification": {"yes": True, "no": False, "unclear": None}[answer],
            "rejections": [],
        }
    if stage == "instances":
        asked = AskedInstances(output_first=reply.is_classification, instruction=reply.instruction)
        parsed = reader.read_instances("reply", completion, asked)
        return {
            "instances": [{"input": i.input, "output": i.output} for i in parsed.instances],
            "rejections": _shown(parsed.rejections),
        }
    shown = reply.num_prompt_instructions or RunConfig(recipe=recipe).demonstrations
    listed = reader.read_list[recipe](
        "reply",
        completion,
        AskedList(
            first_number=shown + 1,
            demonstrations=_demonstrations(reply.prompt, shown),
            continues=None if api is None else api == "completions",
        ),
    )
    candidates: list[dict[str, str]] = []
    rejections = list(listed.rejections)
    for candidate in listed.candidates:
        reason = reader.rejection_reason(candidate.instruction, recipe=recipe, scripts=scripts)
        if reason is not None:
            rejections.append(
                Rejection(
                    candidate_id=candidate.id,
                    stage="filter",
                    reason=reason,
                    text=candidate.instruction,
                )
            )
            continue
        fields = {"instruction": candidate.instruction}
        if candidate.instance is not None:
            fields |= {"input": candidate.instance.input, "output": candidate.instance.output}
        candidates.append(fields)
    rejections.sort(key=lambda rejection: item_number(rejection.candidate_id))
    return {"candidates": candidates, "rejections": _shown(rejections)}


def _shown(rejections: Iterable[Rejection]) -> list[dict[str, str]]:
    return [{"reason": str(r.reason), "text": r.text} for r in rejections]


def _demonstrations(prompt: str, count: int) -> tuple[str, ...] | None:
    """The instructions that a prompt shows, numbered from 1; None where it does not show so many."""
    by_number = {int(number): text for number, text in _SHOWN.findall(prompt)}
    wanted = range(1, count + 1)
    return tuple(by_number[n] for n in wanted) if by_number.keys() >= set(wanted) else None
