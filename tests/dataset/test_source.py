"""A name stands for a run or for a file; both have rows and records."""

import json
from pathlib import Path

import pytest
from support import FaultyBackend, exported, make_seed_task

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.dataset.file_jobs import open_input
from selfinstruct.dataset.source import open_source
from selfinstruct.errors import ConfigError, InputError, RunDirectoryError
from selfinstruct.pipeline.seed_tasks import render_seed_tasks


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "seeds").write_bytes(render_seed_tasks([make_seed_task(n) for n in range(10)]))
    config = RunConfig(model="scripted", num_instructions=12, seed_tasks=folder / "seeds")
    run(folder / "run", config, backend=FaultyBackend())
    return folder / "run"


def test_a_run_and_its_export_agree(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(exported(finished))
    with open_source(str(finished)) as of_run, open_input(str(tmp_path / "rows"), None) as of_file:
        assert (of_run.run is None, of_file.run is None) == (False, True)
        rows = [*of_run.rows()]
        assert rows == [*of_file.rows()]
        assert rows == [record.fields for record in of_run.records()]


def test_the_limit_counts_tasks_without_rows(finished: Path) -> None:
    with open_source(str(finished), include_seed_tasks=True) as source:
        assert source.run is not None
        tasks = source.run.state.pool.generated
        assert not all(task.instances for task in tasks)
        for count in range(len(tasks) + 2):
            kept = {row["task_id"] for row in source.first(count)(source.rows())}
            generated = {task.id for task in tasks[:count] if task.instances}
            assert kept == generated | {f"seed_task_{n}" for n in range(10)}


def test_a_missing_name_with_suffix_is_a_file(tmp_path: Path) -> None:
    for name, error in (("none", RunDirectoryError), ("none.json", InputError)):
        with pytest.raises(error), open_source(str(tmp_path / name)):
            pass
    with pytest.raises(InputError), open_input(str(tmp_path / "none"), None):
        pass


def test_options_must_fit_the_source(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([]))
    with (
        pytest.raises(ConfigError, match="include_seed_tasks: needs a run"),
        open_source(str(tmp_path / "a.json"), include_seed_tasks=True),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="input_format: must be one of json, jsonl, csv, parquet"),
        open_source(str(tmp_path / "a.json"), input_format="xml"),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="input_format: is only for files"),
        open_input(str(finished), "json"),
    ):
        pass
