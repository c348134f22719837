"""`selfinstruct run --preview` shows requests, replies and results, and writes nothing."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scripted_server import chat, reply, scripted_aside
from support import ROOT, ScriptedBackend, Told, scripted_text, typed

from selfinstruct.analysis.preview import Step, preview
from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.errors import ConfigChangedError, RequestRejectedError
from selfinstruct.llm.retry import rate_limited_s
from selfinstruct.records import Completion, Request
from selfinstruct.runner.directory import planned_run, read_run
from selfinstruct.simulate.server.listening import SimulatedEndpoint


def steps_of(
    config: RunConfig, backend: ScriptedBackend, directory: Path | None = None
) -> list[Step]:
    async def looked() -> list[Step]:
        run = planned_run(directory, config.given())
        return [step async for step in preview(run, backend=backend)]

    return asyncio.run(looked())


def answers(text: str, *others: str) -> ScriptedBackend:
    """Return a backend that returns these replies in turn."""
    left = [text, *others]
    return ScriptedBackend(lambda _: left.pop(0))


def test_requests_equal_those_of_a_run(tmp_path: Path, config: RunConfig) -> None:
    sent: dict[str, Request] = {}

    def write(request: Request) -> str:
        sent[request.id] = request
        return scripted_text(request)

    run(tmp_path / "run", config, backend=ScriptedBackend(write))
    asked = [
        step.request for step in steps_of(config, ScriptedBackend()) if step.completion is None
    ]
    assert [request.stage for request in asked] == ["generate", "classify", "instances"]
    for request in asked:
        assert sent[request.id] == request


def test_outcomes_equal_those_of_a_run(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=ScriptedBackend())
    state = read_run(tmp_path / "run").state
    _, generated, _, kind, _, written = steps_of(config, ScriptedBackend())
    assert generated.completion is not None
    assert kind.completion is not None
    assert written.completion is not None
    accepted = [item.text for item in generated.items if item.outcome == "accepted"]
    in_run = [
        task.instruction
        for task in state.pool.generated
        if task.provenance is not None and task.provenance.request_id == "generate/000001"
    ]
    assert accepted == in_run
    task = state.pool.by_id("task_000001")
    assert kind.is_classification == task.is_classification
    assert tuple(item.instance for item in written.items if item.instance) == task.instances


def test_items_have_the_order_of_the_reply(config: RunConfig) -> None:
    text = (
        "9. Name three rivers of Europe that flow north.\n10. Draw a house.\n"
        "11. Name three rivers of Europe that all flow north.\n12. "
    )
    _, generated, *_ = steps_of(config, answers(text, "No", "Output: The Nile"))
    assert generated.completion is not None
    assert [(item.number, item.outcome, item.reason) for item in generated.items] == [
        (1, "accepted", None),
        (2, "rejected", "too_short"),
        (3, "rejected", "not_novel"),
        (4, "rejected", "empty"),
    ]
    near = generated.items[2].nearest
    assert near is not None
    assert near.task_id == "task_000001"
    assert near.instruction == "Name three rivers of Europe that flow north."
    assert generated.items[1].meaning == "The instruction has three words or fewer."


def test_the_answer_selects_the_instance_template(config: RunConfig) -> None:
    first = "9. Is the review of the book kind or unkind?"
    steps = steps_of(config, answers(first, "Yes", "Class label: kind\nInput: I liked it."))
    assert steps[-2].completion is None
    assert "instances_output_first.txt" in steps[-2].request.prompt.template
    last = steps[-1]
    assert last.completion is not None
    assert [item.text for item in last.items] == ["I liked it.\nkind"]


def test_an_unclear_answer_is_asked_again(config: RunConfig) -> None:
    first = "9. Name three rivers of Europe that flow north."
    steps = steps_of(config, answers(first, "Well.", "No", "Output: Nile"))
    asked = [step.request.id for step in steps if step.completion is None]
    assert asked[1:3] == ["classify/task_000001", "classify/task_000001/again"]


def test_a_seed_task_replaces_a_missing_instruction(config: RunConfig) -> None:
    steps = steps_of(config, answers("I am sorry, I cannot do that.", "No", "Output: x y"))
    asked = [step for step in steps if step.completion is None]
    assert asked[1].task is not None
    assert asked[1].task.origin == "seed"
    assert asked[1].task.instruction in asked[1].request.prompt.messages[0].content
    assert steps[1].completion is not None
    assert [(item.number, item.reason) for item in steps[1].items] == [(0, "refusal")]


def test_alpaca_has_one_request(config: RunConfig) -> None:
    block = "4. Instruction: Name three rivers of Europe.\n4. Input:\n<noinput>\n4. Output:\nRhine"
    steps = steps_of(config.changed(recipe="alpaca"), answers(block))
    assert len(steps) == 2
    assert steps[1].completion is not None
    (item,) = steps[1].items
    assert item.instance is not None
    assert (item.outcome, item.instance.output) == ("accepted", "Rhine")


def test_an_existing_run_continues_from_its_state(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=ScriptedBackend())
    commits = read_run(tmp_path / "run").state.commits
    asked, *_ = steps_of(RunConfig(), ScriptedBackend(), tmp_path / "run")
    assert asked.request.id == f"generate/{commits + 1:06d}"


def test_a_preview_keeps_the_settings_of_a_run(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=ScriptedBackend())
    with pytest.raises(ConfigChangedError):
        planned_run(tmp_path / "run", {"threshold": 0.5})
    assert planned_run(tmp_path / "run", {"max_attempts": 2}).config.max_attempts == 2


def test_foreseeing_a_run_makes_nothing(tmp_path: Path, config: RunConfig) -> None:
    planned_run(tmp_path / "new", config.given())
    assert not (tmp_path / "new").exists()


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────


def command(*given: object, cwd: Path) -> Told:
    return typed("run", "--preview", *given, cwd=cwd, environ={"COLUMNS": "80"})


def against(*replies: bytes, flags: tuple[object, ...], cwd: Path) -> tuple[int, str, str]:
    """Run the command against a scripted server and return its exit code, stdout and stderr."""
    with scripted_aside(*replies) as script:
        done = command("-m", "m", "--base-url", script.url, *flags, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_a_preview_fits_80_columns_and_writes_nothing(
    tmp_path: Path, endpoint: SimulatedEndpoint, api: str
) -> None:
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "--api", api, "-n", 1000]
    done = command(*flags, "-o", "new", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for shown in (
        "━━ 1. generate: new instructions ━",
        "━━ 2. classify: is it a classification task? ━",
        "━━ 3. instances: inputs and outputs ━",
        f"  to           {endpoint.base_url}/{'chat/' if api == 'chat' else ''}completions",
        "temperature 0.7, top_p 0.5, presence_penalty 2.0",
        "│ 1. ",
        "┌─ reply ─",
        "finish       stop",
        "accepted,",
        "Nothing was written. To start the run, remove --preview.",
    ):
        assert shown in done.stdout
    assert "1,000 instructions would take about 2," in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) == 80
    assert list(tmp_path.iterdir()) == []


def test_the_example_in_the_documents_is_true(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    page = (ROOT / "docs/get-started/before-you-spend.md").read_text(encoding="utf-8")
    example = page.partition("-n 1000\n")[2].partition("```")[0]
    flags = ["-m", "simulated", "--base-url", endpoint.base_url, "-n", 1000]
    line = [sys.executable, "-m", "selfinstruct", "run", "--preview", *map(str, flags)]
    environ = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environ)
    shown = done.stdout.replace(endpoint.base_url, "http://127.0.0.1:8000/v1")
    for part in example.split("…\n"):
        assert part in shown


def test_a_preview_as_json_needs_no_directory(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    done = command("-m", "simulated", "--base-url", endpoint.base_url, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    stages = shown["stages"]
    assert [stage["stage"] for stage in stages][:2] == ["generate", "classify"]
    assert stages[0]["body"]["messages"][0]["content"].startswith("You are adding to")
    assert stages[0]["reply"]["usage"]["prompt_tokens"] > 100
    assert "accepted" in {item["outcome"] for item in stages[0]["items"]}
    assert stages[-1]["about"]["id"] == "task_000001"
    assert shown["problem"] is None
    assert shown["estimate"]["left"]["requests"]["expected"] > 200


def test_an_existing_run_is_unchanged(
    tmp_path: Path, config: RunConfig, endpoint: SimulatedEndpoint
) -> None:
    config = config.changed(model="simulated", base_url=endpoint.base_url, num_instructions=1)
    run(tmp_path / "run", config, backend=ScriptedBackend())
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    done = command("run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "━━ 1. generate" in done.stdout
    after = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert after == before


LIST = reply(body=chat("9. Name three rivers of Europe that flow north."))


def test_earlier_replies_are_shown_before_a_failure(tmp_path: Path) -> None:
    refusal = reply(400, {"error": {"message": "'temperature' is not supported"}})
    code, out, err = against(LIST, refusal, flags=(), cwd=tmp_path)
    assert code == 4
    assert "Name three rivers of Europe that flow north." in out
    assert "━━ 2. classify" in out
    assert "remove temperature with --set classify_temperature=null" in " ".join(err.split())
    assert "Nothing was written." in err
    code, out, _ = against(LIST, refusal, flags=("--json",), cwd=tmp_path)
    shown = json.loads(out)
    assert code == 4
    assert shown["stages"][0]["items"][0]["outcome"] == "accepted"
    assert shown["stages"][1]["reply"] is None
    assert "'temperature' is not supported" in shown["problem"]


def test_the_sent_name_of_max_tokens_is_shown(tmp_path: Path) -> None:
    message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    refusal = reply(400, {"error": {"message": message, "param": "max_tokens"}})
    _, out, _ = against(refusal, LIST, flags=("--recipe", "alpaca"), cwd=tmp_path)
    assert "the endpoint requires max_completion_tokens" in out


def test_a_preview_waits_at_most_two_minutes(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfinstruct.cli import run_preview as command_line

    seen: list[float] = []

    async def look(run: Any, *_: object, **__: object) -> None:
        seen.append(rate_limited_s(run.config.give_up_after_s))

    monkeypatch.setattr(command_line, "_look", look)
    for given, waited in ((7200.0, 120.0), (90.0, 90.0)):
        settings = config.changed(base_url="http://127.0.0.1:9/v1", give_up_after_s=given).given()
        command_line.show_preview(None, settings, json_output=True)
        assert seen.pop() == waited


def test_an_unreachable_endpoint_exits_4(tmp_path: Path) -> None:
    flags = ["-m", "m", "--base-url", "http://127.0.0.1:9/v1", "--set", "max_attempts=1"]
    done = command(*flags, cwd=tmp_path)
    assert done.returncode == 4
    assert "no connection to http://127.0.0.1:9/v1" in done.stderr
    assert "┌─ prompt" in done.stdout


def test_a_closed_terminal_ends_no_preview(tmp_path: Path, endpoint: SimulatedEndpoint) -> None:
    flags = f"-m simulated --base-url {endpoint.base_url}"
    for arguments in (f"run {flags} --preview", f"estimate {flags} --probe 1"):
        line = f"{sys.executable} -m selfinstruct {arguments} 2>&-"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, stdout=subprocess.DEVNULL)
        assert done.returncode == 0


def test_a_reply_never_drives_the_terminal(tmp_path: Path) -> None:
    evil = "9. Name \x1b[2J a \u202eriver \x07 of Europe.\r\n10. 漢字" + "漢" * 60
    _, out, _ = against(reply(body=chat(evil)), flags=("--recipe", "alpaca"), cwd=tmp_path)
    assert not any(char in out for char in "\x1b\u202e\x07\r")
    assert "\\x1b[2J" in out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "model: is missing"),
        (["-m", "m"], "$OPENAI_API_KEY is not set"),
        (["-m", "m", "--base-url", "http://127.0.0.1:9", "-o", "."], "is not a run directory"),
        (["none.yaml"], "does not exist"),
    ],
)
def test_bad_input_exits_2(tmp_path: Path, flags: list[str], said: str) -> None:
    (tmp_path / "foreign file").touch()
    done = command(*flags, cwd=tmp_path)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_a_refusal_reaches_python_callers(config: RunConfig) -> None:
    class Refusing:
        async def complete(self, request: Request) -> Completion:
            raise RequestRejectedError(f"{request.id} is refused", status=400)

    async def looked() -> None:
        async for _ in preview(planned_run(None, config.given()), backend=Refusing()):
            pass

    with pytest.raises(RequestRejectedError, match="generate/000001 is refused"):
        asyncio.run(looked())
