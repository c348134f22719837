"""Test the Python functions: runs with all kinds of backends, and functions that work on files of records."""

import asyncio
import inspect
import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from support import ScriptedBackend, exported, make_seed_task, scripted_text, typed

import selfinstruct
from selfinstruct import (
    Completion,
    Progress,
    Request,
    RunConfig,
    arun,
    decontaminate_records,
    export_records,
    export_run,
    filter_records,
    read_frame,
    run,
)
from selfinstruct.cli import commands
from selfinstruct.dataset.export.job import ExportJob
from selfinstruct.errors import ConfigError
from selfinstruct.pipeline.seed_tasks import render_seed_tasks


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    return RunConfig(model="scripted", num_instructions=12, seed_tasks=seeds, max_concurrency=3)


async def coroutine(request: Request) -> str:
    return scripted_text(request)


async def completing(request: Request) -> Completion:
    return Completion(text=scripted_text(request), finish_reason="stop", model="scripted")


class Answering:
    """A callable object that returns an awaitable."""

    async def __call__(self, request: Request) -> str:
        return scripted_text(request)


@pytest.mark.parametrize("backend", [scripted_text, coroutine, completing, Answering()])
def test_any_function_is_a_backend(tmp_path: Path, config: RunConfig, backend: Any) -> None:
    run(tmp_path / "object", config, backend=ScriptedBackend())
    run(tmp_path / "function", config, backend=backend)
    assert exported(tmp_path / "function") == exported(tmp_path / "object")


def test_arun_does_the_same_as_run(tmp_path: Path, config: RunConfig) -> None:
    async def both() -> None:
        await asyncio.gather(
            *(arun(tmp_path / name, config, backend=coroutine) for name in ("one", "two"))
        )

    asyncio.run(both())
    run(tmp_path / "three", config, backend=scripted_text)
    assert exported(tmp_path / "one") == exported(tmp_path / "two")
    assert exported(tmp_path / "one") == exported(tmp_path / "three")


def test_a_cancelled_arun_can_be_continued(tmp_path: Path, config: RunConfig) -> None:
    async def cancelled() -> None:
        def show(progress: Progress) -> None:
            if progress.accepted >= 3:
                growing.cancel()

        growing = asyncio.ensure_future(
            arun(tmp_path / "run", config, backend=coroutine, on_progress=show)
        )
        with pytest.raises(asyncio.CancelledError):
            await growing

    asyncio.run(cancelled())
    run(tmp_path / "run", backend=coroutine)
    run(tmp_path / "whole", config, backend=coroutine)
    assert exported(tmp_path / "run") == exported(tmp_path / "whole")


def test_progress_reaches_the_target(tmp_path: Path, config: RunConfig) -> None:
    seen: list[Progress] = []
    summary = run(tmp_path / "run", config, backend=scripted_text, on_progress=seen.append)
    assert seen[0].requests == 0
    assert seen[-1] == Progress(
        accepted=summary.accepted,
        target=12,
        requests=sum(summary.requests.values()),
        in_flight=0,
        rows=summary.rows,
    )
    assert [p.accepted for p in seen] == sorted(p.accepted for p in seen)
    assert max(p.in_flight for p in seen) == 3


def test_a_plain_function_keeps_to_the_concurrency(tmp_path: Path, config: RunConfig) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def answer(request: Request) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        text = scripted_text(request)
        with lock:
            running -= 1
        return text

    run(tmp_path / "run", config, backend=answer)
    assert 1 <= most <= 3


def test_an_error_of_a_function_reaches_the_caller(tmp_path: Path, config: RunConfig) -> None:
    def answer(_: Request) -> str:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        run(tmp_path / "run", config, backend=answer)
    run(tmp_path / "run", backend=scripted_text)


def test_a_result_of_another_type_is_an_error(tmp_path: Path, config: RunConfig) -> None:
    with pytest.raises(TypeError, match="must return a Completion, not 7"):
        run(tmp_path / "run", config, backend=lambda _: 7)  # type: ignore[arg-type, return-value]


def test_a_summary_has_a_short_repr(tmp_path: Path, config: RunConfig) -> None:
    summary = run(tmp_path / "run", config, backend=scripted_text)
    assert repr(summary) == (
        f"<RunSummary: {summary.accepted} instructions, {summary.rows} rows, "
        f"{sum(summary.rejected.values())} rejected>"
    )
    priced = run(
        tmp_path / "priced", config.changed(price_input=1, price_output=2), backend=scripted_text
    )
    assert re.search(r" rejected, \$0\.\d\d>$", repr(priced))


def test_dir_lists_the_public_names() -> None:
    assert dir(selfinstruct) == selfinstruct.__all__


# ── files of records ─────────────────────────────────────────────────────────────────────────────────────

QUESTION = "How many spoons does the harbour master of Veldt keep in the drawer?"


@pytest.fixture
def here(tmp_path: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new current directory that contains a run, its rows, and a benchmark."""
    monkeypatch.chdir(tmp_path)
    run("run", config, backend=scripted_text)
    Path("rows.jsonl").write_bytes(exported(Path("run")))
    rows = read_frame("run")
    asked = [QUESTION, rows["instruction"].iloc[3]]
    Path("quiz.jsonl").write_text("".join(json.dumps({"question": text}) + "\n" for text in asked))
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a directory, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


FLAGS: dict[str, tuple[str, dict[str, Any]]] = {
    "filter": (
        "rows.jsonl -t 0.3 --rejected OUT/no.csv --similarities",
        {
            "inputs": ["rows.jsonl"],
            "threshold": 0.3,
            "rejected": "OUT/no.csv",
            "similarities": True,
        },
    ),
    "decontaminate": (
        "rows.jsonl --against quiz.jsonl --no-rouge --report OUT/hits.jsonl",
        {
            "inputs": Path("rows.jsonl"),
            "against": "quiz.jsonl",
            "no_rouge": True,
            "report": Path("OUT/hits.jsonl"),
        },
    ),
    "export": (
        "run -f jsonl --limit 9 --decontaminate quiz.jsonl --split 0.5/0.5 --card --language en",
        {
            "source": "run",
            "format": "jsonl",
            "limit": 9,
            "decontaminate": iter(["quiz.jsonl"]),
            "split": (0.5, 0.5),
            "card": True,
            "language": "en",
        },
    ),
}
"""For each command, a command line and the equivalent Python call."""


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", [*FLAGS])
def test_a_function_writes_what_its_command_writes(command: str) -> None:
    words, given = FLAGS[command]
    Path("OUT").mkdir()
    done = typed(command, *words.split(), "-o", "OUT/kept.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    Path("OUT").rename("typed")
    Path("OUT").mkdir()
    summary = getattr(selfinstruct, f"{command}_records")(output="OUT/kept.jsonl", **given)
    assert files(Path("OUT")) == files(Path("typed"))
    assert {**summary.as_json(), "seconds": 0} == {**told, "seconds": 0}


@pytest.mark.usefixtures("here")
def test_a_run_can_be_filtered() -> None:
    for source in ("run", "rows.jsonl"):
        filter_records(source, f"{source}.filtered.jsonl", threshold=0.3)
        decontaminate_records([source], f"{source}.clean.jsonl", "quiz.jsonl")
    for name in ("filtered", "clean"):
        kept = Path(f"run.{name}.jsonl").read_bytes()
        assert kept == Path(f"rows.jsonl.{name}.jsonl").read_bytes()
        assert 0 < len(kept) < len(Path("rows.jsonl").read_bytes())


@pytest.mark.usefixtures("here")
def test_summaries_have_short_reprs() -> None:
    filtered = filter_records("rows.jsonl", "a.jsonl", threshold=0)
    assert repr(filtered) == f"<FilterSummary: {filtered.read} read, {filtered.rejected} rejected>"
    clean = decontaminate_records("rows.jsonl", "b.jsonl", "quiz.jsonl")
    assert repr(clean) == f"<DecontaminationSummary: {clean.read} read, {clean.dropped} dropped>"
    made = export_records("rows.jsonl", "c.json", decontaminate="quiz.jsonl")
    assert repr(made) == f"<ExportSummary: {made.rows} rows, {clean.dropped} removed>"
    assert made.rows == export_run("run", "d.json", decontaminate="quiz.jsonl")


def test_every_flag_is_a_parameter() -> None:
    for command, function in (
        (commands.filter.filter, filter_records),
        (commands.decontaminate.decontaminate, decontaminate_records),
        (commands.export.export, export_records),
    ):
        flags = {*inspect.signature(command).parameters} - {"quiet", "json_output"}
        parameters = {*inspect.signature(function).parameters} - {"progress", "hold"}
        if function is export_records:
            parameters |= {*ExportJob.__dataclass_fields__} - {"benchmarks", "languages"}
            parameters.remove("options")
        assert flags == parameters


@pytest.mark.usefixtures("here")
def test_impossible_arguments_are_named() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"inputs": []}, "inputs: names no file"),
        ({"input_format": "xml"}, "input_format: must be one of json"),
        ({"output_format": "xml"}, "output_format: must be one of json"),
    ]
    for given, said in wrong:
        with pytest.raises(ConfigError, match=said):
            filter_records(**{"inputs": "rows.jsonl", "output": "x.json", **given})
    assert not Path("x.json").exists()
