"""`parse_again` parses recorded replies in the same way as a run does."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ScriptedBackend

from selfinstruct.analysis.parse_replies import RecordedReply, parse_again
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.journal_events import Committed, CompletionReceived, InstancesWritten
from selfinstruct.pipeline.filters import scripts_of
from selfinstruct.pipeline.recipes import RECIPES
from selfinstruct.records import Stage
from selfinstruct.runner.directory import read_run
from selfinstruct.runner.journal import read_journal

VALUES = st.none() | st.booleans() | st.integers(-2, 20) | st.text(max_size=40)


@pytest.mark.parametrize("profile", ["default", "paper"])
def test_replies_of_a_run_parse_to_its_decisions(
    tmp_path: Path, config: RunConfig, profile: str
) -> None:
    run(tmp_path / "run", config.changed(profile=profile), backend=ScriptedBackend())
    opened = read_run(tmp_path / "run")
    replies: dict[str, CompletionReceived] = {}
    compared = 0
    line: dict[str, object]
    for entry in read_journal(tmp_path / "run/journal.jsonl"):
        event = entry.event
        if isinstance(event, CompletionReceived):
            replies[event.request_id] = event
        elif isinstance(event, Committed):
            reply = replies[f"generate/{event.number:06d}"]
            shown = [opened.state.pool.by_id(name).instruction for name in reply.demonstration_ids]
            line = {
                "completion": reply.completion.text,
                "finish_reason": reply.completion.finish_reason,
                "prompt": "\n".join(f"{n}. {text}" for n, text in enumerate(shown, start=1)),
            }
            found = parse_again(
                RecordedReply.from_mapping(line), stage="generate", profile=profile, api="chat"
            )
            novel = {a.instruction for a in event.accepted}
            similar = {r.text for r in event.rejected if r.stage == "novelty"}
            assert {c["instruction"] for c in found["candidates"]} == novel | similar
            rejected = [(r.reason, r.text) for r in event.rejected if r.stage != "novelty"]
            assert sorted((r["reason"], r["text"]) for r in found["rejections"]) == sorted(rejected)
            compared += len(novel)
        elif isinstance(event, InstancesWritten):
            task = opened.state.pool.by_id(event.task_id)
            line = {
                "completion": replies[f"instances/{event.task_id}"].completion.text,
                "instruction": task.instruction,
                "is_classification": task.is_classification,
            }
            found = parse_again(
                RecordedReply.from_mapping(line), stage="instances", profile=profile
            )
            kept = [{"input": i.input, "output": i.output} for i in event.instances]
            assert found["instances"][: len(kept)] == kept
    assert compared >= 12


@given(
    line=st.dictionaries(
        st.sampled_from(["completion", "finish_reason", "instruction", "num_prompt_instructions"])
        | st.sampled_from(["is_classification", "prompt", "kind"]),
        VALUES,
    ),
    which=st.sampled_from([(r.name, stage.name) for r in RECIPES.values() for stage in r.stages]),
    profile=st.sampled_from(["default", "paper"]),
    api=st.sampled_from([None, "chat", "completions"]),
)
def test_any_line_is_parsed_or_rejected(
    line: dict[str, object], which: tuple[str, Stage], profile: str, api: str | None
) -> None:
    recipe, stage = which
    try:
        reply = RecordedReply.from_mapping(line)
    except ValueError as error:
        assert str(error).startswith(("is not", "has "))  # noqa: PT017
        return
    found = parse_again(reply, stage=stage, profile=profile, recipe=recipe, api=api)
    assert json.loads(json.dumps(found)) == found
    assert set(found) in (
        {"candidates", "rejections"},
        {"is_classification", "rejections"},
        {"instances", "rejections"},
    )


def test_a_missing_stage_is_refused() -> None:
    reply = RecordedReply(completion="Yes")
    with pytest.raises(ValueError, match="the recipe alpaca has no stage classify"):
        parse_again(reply, stage="classify", recipe="alpaca")


def test_demonstrations_of_a_recorded_prompt_are_recognized() -> None:
    line = {
        "completion": " Name a lake.\n10. Add up these numbers.\n11. Describe your way to work.",
        "prompt": "Go on:\n1. Name a lake.\n2. Add up these numbers.\n3.",
        "num_prompt_instructions": 2,
    }
    found = parse_again(RecordedReply.from_mapping(line), stage="generate")
    assert found["candidates"] == [{"instruction": "Describe your way to work."}]
    assert [r["reason"] for r in found["rejections"]] == ["echo", "echo"]


def test_scripts_are_checked_only_with_seed_tasks() -> None:
    reply = RecordedReply(
        completion="9. 오늘의 날씨를 자세히 알려 주세요.\n10. Name a river in Spain."
    )
    assert len(parse_again(reply, stage="generate")["candidates"]) == 2
    latin = scripts_of(["Name a lake."])
    found = parse_again(reply, stage="generate", scripts=latin)
    assert [r["reason"] for r in found["rejections"]] == ["wrong_script"]
