"""Test the requests that each recipe, API and mix of demonstrations sends. They must not depend on timing."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from support import (
    WORDS,
    ScriptedBackend,
    exported,
    make_seed_task,
    scripted_text,
)

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import ConfigError, InputError, RequestRejectedError
from selfinstruct.journal_events import Classified
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.pipeline.summary import summarize
from selfinstruct.records import Completion, Instance, Message, Reason, Request, SeedTask
from selfinstruct.runner.directory import open_run, read_run
from selfinstruct.runner.journal import read_journal


def kinds(directory: Path, task_id: str) -> list[tuple[bool | None, str]]:
    found = [entry.event for entry in read_journal(directory / "journal.jsonl")]
    return [
        (event.is_classification, event.answer)
        for event in found
        if isinstance(event, Classified) and event.task_id == task_id
    ]


class Asked(ScriptedBackend):
    """A backend that records the requests it gets."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        self.requests.append(request)
        return await super().complete(request)

    def of(self, stage: str) -> list[Request]:
        return [request for request in self.requests if request.stage == stage]


# ── an unclear answer ────────────────────────────────────────────────────────────────────────────────────


def answering(first: str, second: str) -> Asked:
    def write(request: Request) -> str:
        if request.stage != "classify":
            return scripted_text(request)
        return second if request.id.endswith("/again") else first

    return Asked(write)


def test_an_unclear_answer_leads_to_a_second_question(tmp_path: Path, config: RunConfig) -> None:
    backend = answering("continue", "Yes.")
    run(tmp_path / "run", config, backend=backend)
    first, second = (r for r in backend.of("classify") if "task_000001" in r.id)
    assert (first.id, second.id) == ("classify/task_000001", "classify/task_000001/again")
    assert first.prompt.template.startswith("self-instruct/classify.txt@")
    assert second.prompt.template.startswith("self-instruct/classify_again.txt@")
    assert len(second.prompt.messages[0].content) < len(first.prompt.messages[0].content)
    assert kinds(tmp_path / "run", "task_000001") == [(None, "unclear"), (True, "yes")]
    assert summarize(read_run(tmp_path / "run").state).unclear_kinds == 0


def test_a_second_unclear_answer_means_input_first(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=answering("continue", "Sure, go ahead."))
    state = read_run(tmp_path / "run").state
    assert kinds(tmp_path / "run", "task_000001") == [(None, "unclear"), (False, "unclear")]
    task = state.pool.by_id("task_000001")
    assert (task.is_classification, task.classification_answer) == (False, "unclear")
    assert summarize(state).unclear_kinds == state.accepted
    rows = [json.loads(line) for line in exported(tmp_path / "run").splitlines()]
    assert {row["classification_answer"] for row in rows} == {"unclear"}


def test_a_refused_question_counts_as_unclear(tmp_path: Path, config: RunConfig) -> None:
    class Refusing(ScriptedBackend):
        async def complete(self, request: Request) -> Completion:
            if request.id.startswith("classify/task_000001"):
                raise RequestRejectedError("not this one", status=400)
            return await super().complete(request)

    run(tmp_path / "run", config, backend=Refusing())
    assert kinds(tmp_path / "run", "task_000001") == [(None, "unclear"), (False, "unclear")]


def test_the_paper_profile_never_asks_twice(tmp_path: Path, config: RunConfig) -> None:
    backend = answering("Yes.", "never asked")
    run(tmp_path / "run", config.changed(profile="paper"), backend=backend)
    assert not any(request.id.endswith("/again") for request in backend.requests)
    assert kinds(tmp_path / "run", "task_000001") == [(False, "no")]


def test_a_restart_between_two_questions_changes_nothing(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "whole", config, backend=answering("continue", "Yes"))
    journal = (tmp_path / "whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    asked_again = [n for n, line in enumerate(journal) if b'"is_classification":null' in line]
    for end in (asked_again[0], asked_again[0] + 1, asked_again[-1] + 1):
        cut = tmp_path / f"cut_{end}"
        with open_run(cut, config):
            pass
        (cut / "journal.jsonl").write_bytes(b"".join(journal[:end]))
        run(cut, backend=answering("continue", "Yes"))
        assert exported(cut) == exported(tmp_path / "whole")


# ── base models ──────────────────────────────────────────────────────────────────────────────────────────


def as_base_model(request: Request) -> str:
    """Return a reply that continues the prompt, as a base model does."""
    assert request.prompt.text is not None
    chat = replace(
        request, prompt=replace(request.prompt, messages=(user(request.prompt.text),), text=None)
    )
    text = scripted_text(chat)
    return text.removeprefix("9.") if request.stage == "generate" else text


def user(content: str) -> Message:
    return Message(role="user", content=content)


@pytest.mark.parametrize("profile", ["default", "paper"])
def test_a_base_model_gets_texts_and_stop_sequences(
    tmp_path: Path, config: RunConfig, profile: str
) -> None:
    backend = Asked(as_base_model)
    run(tmp_path / "run", config.changed(api="completions", profile=profile), backend=backend)
    assert {request.prompt.messages for request in backend.requests} == {()}
    stops = {request.stage: request.sampling.stop for request in backend.requests}
    assert stops == {
        "generate": ("\n\n", "\n16"),
        "classify": ("\n", "Task:"),
        "instances": ("\nExample 6", "\nTask:"),
    }
    first = backend.of("generate")[0]
    assert (first.prompt.text or "").endswith("\n9.")
    # The prompt contains the number of the first item. The item still counts.
    tasks = read_run(tmp_path / "run").state.pool.generated
    assert {task.provenance.ordinal for task in tasks if task.provenance} >= {1, 2}


def test_a_chat_model_gets_messages_and_no_stops(tmp_path: Path, config: RunConfig) -> None:
    backend = Asked()
    run(tmp_path / "run", config, backend=backend)
    assert {request.prompt.text for request in backend.requests} == {None}
    assert {request.sampling.stop for request in backend.requests} == {()}


# ── alpaca ───────────────────────────────────────────────────────────────────────────────────────────────


def alpaca_text(request: Request) -> str:
    rng = Random(request.prompt.messages[-1].content)

    def word() -> str:
        return WORDS[int(rng.random() * len(WORDS))]

    blocks = []
    for number in range(4, 9):
        given = "<noinput>" if rng.random() < 0.5 else f"a {word()} and a {word()}"
        blocks.append(
            f"{number}. Instruction: Describe the {word()} of a {word()} beside the {word()} {word()}.\n"
            f"{number}. Input:\n{given}\n{number}. Output:\nIt is {rng.random():.3f}."
        )
    return "\n###\n".join(blocks)


@pytest.mark.parametrize("profile", ["default", "paper"])
def test_alpaca_asks_once_for_whole_tasks(tmp_path: Path, config: RunConfig, profile: str) -> None:
    backend = Asked(alpaca_text)
    run(tmp_path / "run", config.changed(recipe="alpaca", profile=profile), backend=backend)
    state = read_run(tmp_path / "run").state
    assert {request.stage for request in backend.requests} == {"generate"}
    sampling = backend.requests[0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (1.0, 1.0, 3072)
    assert sampling.presence_penalty is None
    assert state.open_tasks == 0
    assert {len(task.instances or ()) for task in state.pool.generated} == {1}
    assert {i.input for t in state.pool.generated for i in t.instances or ()} > {""}


def test_alpaca_shows_three_seed_tasks_with_their_instances(
    tmp_path: Path, config: RunConfig
) -> None:
    backend = Asked(alpaca_text)
    run(tmp_path / "run", config.changed(recipe="alpaca"), backend=backend)
    for request in backend.requests:
        content = request.prompt.messages[0].content
        assert len(request.prompt.demonstration_ids) == 3
        assert all(name.startswith("seed_task_") for name in request.prompt.demonstration_ids)
        assert re.search(r"1\. Input:\n<noinput>\n1\. Output:\nIt does \d+\.\n###\n2\.", content)


def test_alpaca_refuses_a_seed_task_without_an_instance(tmp_path: Path, config: RunConfig) -> None:
    seeds = tmp_path / "mine.jsonl"
    bare = replace(make_seed_task(1), instances=())
    seeds.write_bytes(render_seed_tasks([*(make_seed_task(n) for n in range(2, 12)), bare]))
    changed = config.changed(recipe="alpaca", seed_tasks=seeds)
    with pytest.raises(InputError, match="'seed_task_1' has no instance to show, which alpaca"):
        run(tmp_path / "run", changed, backend=ScriptedBackend())


# ── mixes ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_number_of_demonstrations_is_a_setting(tmp_path: Path, config: RunConfig) -> None:
    backend = Asked()
    mixed = replace(config, demonstrations=5, generated_demonstrations=3, num_instructions=30)
    run(tmp_path / "run", mixed, backend=backend)
    shown = [request.prompt.demonstration_ids for request in backend.of("generate")]
    generated = [sum(name.startswith("task_") for name in names) for names in shown]
    assert {len(names) for names in shown} == {5}
    assert generated[0] == 0
    assert generated[-1] == 3
    assert "tasks 6 to 13" in backend.of("generate")[0].prompt.messages[0].content


def test_too_many_generated_demonstrations_are_refused(tmp_path: Path, config: RunConfig) -> None:
    changed = replace(config, demonstrations=3, generated_demonstrations=4)
    with pytest.raises(
        ConfigError,
        match=r"must be at most demonstrations \(3\), not 4",
    ):
        run(tmp_path / "run", changed, backend=ScriptedBackend())


def test_few_demonstrations_are_allowed(tmp_path: Path, config: RunConfig) -> None:
    backend = Asked()
    run(tmp_path / "run", config.changed(demonstrations=1, num_instructions=3), backend=backend)
    assert {len(r.prompt.demonstration_ids) for r in backend.of("generate")} == {1}
    assert "list below has 1 task. " in backend.of("generate")[0].prompt.messages[0].content
    assert RunConfig(model="m", demonstrations=1).changed(demonstrations=8) == RunConfig(model="m")


def test_only_classification_seeds_may_be_shown(tmp_path: Path, config: RunConfig) -> None:
    backend = Asked()
    changed = replace(
        config,
        classification_seeds_only=True,
        demonstrations=2,
        generated_demonstrations=1,
        num_instructions=4,
    )
    run(tmp_path / "run", changed, backend=backend)
    opened = read_run(tmp_path / "run")
    assert {seed.is_classification for seed in opened.seed_tasks} == {True}
    request = backend.of("generate")[0]
    assert request.prompt.template.startswith("self-instruct/generate_classification.txt@")
    # A later start of the run may specify the same seed-task file.
    run(tmp_path / "run", {"seed_tasks": config.seed_tasks}, backend=backend)


def test_too_few_classification_seeds_are_refused(tmp_path: Path, config: RunConfig) -> None:
    changed = replace(config, classification_seeds_only=True)
    with pytest.raises(InputError, match=r"too few classification tasks \(\d\): a prompt shows 8"):
        run(tmp_path / "run", changed, backend=ScriptedBackend())


@pytest.fixture
def with_inputs(tmp_path: Path, config: RunConfig) -> RunConfig:
    seeds: list[SeedTask] = [
        replace(
            make_seed_task(n),
            instances=(Instance(input=f"given\n{n}" if n % 2 else "", output="o"),),
        )
        for n in range(1, 17)
    ]
    path = tmp_path / "inputs.jsonl"
    path.write_bytes(render_seed_tasks(seeds))
    return replace(config, seed_tasks=path, show_input=True, num_instructions=25)


def test_a_demonstration_shows_its_first_input(tmp_path: Path, with_inputs: RunConfig) -> None:
    backend = Asked()
    run(tmp_path / "run", with_inputs, backend=backend)
    pool = read_run(tmp_path / "run").state.pool
    for request in backend.of("generate"):
        lines = request.prompt.messages[0].content.split("\n\n")[-1].splitlines()
        expected = []
        for n, task_id in enumerate(request.prompt.demonstration_ids, start=1):
            task = pool.by_id(task_id)
            expected.append(f"{n}. {task.instruction}")
            given = next((i.input for i in task.instances or () if i.input), "")
            first, *others = given.split("\n")
            expected += (
                [f"   Input: {first}", *(" " * 10 + line for line in others)] if given else []
            )
        assert lines == expected


def shown_input(tmp_path: Path, config: RunConfig, given: str) -> str:
    """Return the input of the first demonstration in a prompt."""
    seed = replace(make_seed_task(1), instances=(Instance(input=given, output="o"),))
    (tmp_path / "one.jsonl").write_bytes(render_seed_tasks([seed]))
    changed = config.changed(
        seed_tasks=tmp_path / "one.jsonl", demonstrations=1, show_input=True, num_instructions=1
    )
    backend = Asked()
    run(tmp_path / "run", changed, backend=backend)
    content = backend.of("generate")[0].prompt.messages[0].content
    return content.rpartition("\n   Input: ")[2]


def test_code_in_a_demonstration_keeps_its_lines(tmp_path: Path, config: RunConfig) -> None:
    shown = shown_input(tmp_path, config, "\ndef f(x):\n    # half\n\n    return x / 2\n")
    assert shown.split("\n") == [
        "def f(x):",
        "              # half",
        "              return x / 2",
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\n" * 9, "\n          ".join(["a"] * 8) + " …"),
        ("a\n" * 8, "\n          ".join(["a"] * 8)),
        ("b " * 100 + "\n" + "c " * 250, ("b " * 100).strip() + " …"),
        ("word " * 200, ("word " * 120).strip() + " …"),
        ("x" * 700, "x" * 600 + " …"),
        # A numbered list in an input is put on one line, because its lines would look like further tasks.
        ("To buy:\n1. milk\n2. eggs", "To buy: 1. milk 2. eggs"),
    ],
)
def test_a_long_input_is_cut_between_lines(
    tmp_path: Path, config: RunConfig, given: str, shown: str
) -> None:
    assert shown_input(tmp_path, config, given) == shown


def test_a_repeated_input_is_no_candidate(tmp_path: Path, config: RunConfig) -> None:
    """Check that an input that a reply repeats, literally or reworded, does not become a candidate."""
    lines = "   Input: def f(x):\n              return x / 2"

    def write(request: Request) -> str:
        if request.stage != "generate":
            return scripted_text(request)
        echo = request.prompt.messages[0].content.rpartition("\n\n")[2]
        return f"{echo}\n2. Name five rivers that flow north.\n{lines}\n3. Say what a kettle is made of."

    seed = replace(make_seed_task(1), instances=(Instance(input="a b\n  c\nd", output="o"),))
    (tmp_path / "one.jsonl").write_bytes(render_seed_tasks([seed]))
    changed = config.changed(
        seed_tasks=tmp_path / "one.jsonl", demonstrations=1, show_input=True, num_instructions=2
    )
    run(tmp_path / "run", changed, backend=ScriptedBackend(write))
    state = read_run(tmp_path / "run").state
    assert [task.instruction for task in state.pool.generated] == [
        "Name five rivers that flow north.",
        "Say what a kettle is made of.",
    ]
    assert state.counts.rejected == {Reason.ECHO: 1}


def test_a_separator_in_a_seed_task_is_escaped(tmp_path: Path, config: RunConfig) -> None:
    given = Instance(input="### Heading\ntext", output="one\n###\ntwo ### three")
    seeds = [replace(make_seed_task(n), instances=(given,)) for n in range(3)]
    (tmp_path / "fences.jsonl").write_bytes(render_seed_tasks(seeds))
    backend = Asked(alpaca_text)
    changed = config.changed(
        recipe="alpaca", seed_tasks=tmp_path / "fences.jsonl", num_instructions=1
    )
    run(tmp_path / "run", changed, backend=backend)
    content = backend.requests[0].prompt.messages[0].content
    assert content.count("\n###") == 4  # one before each task, including the first new one
    assert "1. Input:\n ### Heading\ntext\n1. Output:\none\n ###\ntwo ### three\n###\n2." in content


@pytest.mark.parametrize("seed", range(4))
def test_demonstrations_do_not_depend_on_timing(
    tmp_path: Path, with_inputs: RunConfig, seed: int
) -> None:
    """Return instances late and in any order: a prompt must wait for the instances that it shows."""
    rng = Random(seed)

    async def pause(request: Request) -> None:
        turns = 40 if request.stage == "instances" else 5
        for _ in range(int(rng.random() * turns)):
            await asyncio.sleep(0)

    run(tmp_path / "reference", with_inputs, backend=ScriptedBackend())
    run(tmp_path / "run", with_inputs, backend=ScriptedBackend(pause=pause))
    assert exported(tmp_path / "run") == exported(tmp_path / "reference")


def test_a_prompt_waits_for_unknown_inputs(tmp_path: Path, with_inputs: RunConfig) -> None:
    """Check that each request is planned only after the tasks in its prompt are final."""
    run(tmp_path / "run", with_inputs, backend=ScriptedBackend())
    written: set[str] = set()
    shown_late = 0
    for entry in read_journal(tmp_path / "run/journal.jsonl"):
        event = entry.event
        if event.kind == "instances_written":
            written.add(event.task_id)
        elif event.kind == "completion_received" and event.stage == "generate":
            generated = {name for name in event.demonstration_ids if name.startswith("task_")}
            assert generated <= written
            shown_late += bool(generated)
    assert shown_late > 0


# ── scripts ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_candidate_in_another_script_is_rejected(tmp_path: Path, config: RunConfig) -> None:
    def write(request: Request) -> str:
        text = scripted_text(request)
        if request.stage == "generate":
            text += (
                "\n12. 가까운 강의 이름 세 개를 말해 주세요.\n13. Say 강 and name a river in Korea."
            )
        return text

    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    rejected = read_run(tmp_path / "run").state.counts.rejected
    assert rejected[Reason.WRONG_SCRIPT] > 0
    texts = [task.instruction for task in read_run(tmp_path / "run").state.pool.generated]
    assert "Say 강 and name a river in Korea." in texts


def test_a_run_in_korean_never_accepts_a_copy(tmp_path: Path, config: RunConfig) -> None:
    """Check that copies without Latin letters are accepted only with the tokenizer "rouge"."""
    seeds = tmp_path / "korean.jsonl"
    seeds.write_bytes(
        render_seed_tasks([make_seed_task(n, instruction=KOREAN[n - 1]) for n in range(1, 10)])
    )
    lines = "\n".join(f"{9 + n}. {text}" for n, text in enumerate([*KOREAN, NEW, NEW]))

    def write(request: Request) -> str:
        return lines if request.stage == "generate" else scripted_text(request)

    changed = replace(config, seed_tasks=seeds, num_instructions=1)
    run(tmp_path / "run", changed, backend=ScriptedBackend(write))
    state = read_run(tmp_path / "run").state
    assert [task.instruction for task in state.pool.generated] == [NEW]
    # Copies of tasks in the prompt are echoes. The copy of the ninth seed task and the second copy are not
    # novel.
    assert state.counts.rejected[Reason.ECHO] + state.counts.rejected[Reason.NOT_NOVEL] == 10


KOREAN = [
    "한 주 동안 먹을 채식 식단을 짜 주세요.",
    "아래 문장을 높임말로 바꾸어 보세요.",
    "이메일이 문의인지 불만인지 판단하세요.",
    "세 도시의 날씨를 표로 비교해 주세요.",
    "비가 오는 날에 할 수 있는 놀이를 알려 주세요.",
    "어린이에게 달의 모양이 왜 변하는지 설명하세요.",
    "두 숫자의 최대공약수를 구하는 방법은 무엇인가요?",
    "새로 생긴 서점을 소개하는 짧은 글을 쓰세요.",
    "회의를 미루자는 정중한 답장을 작성해 주세요.",
]
NEW = "할머니가 들려주신 옛이야기를 네 문장으로 요약하세요."
