"""`status` shows the acceptance by pool size, and the last candidate that was not novel."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ScriptedBackend
from typer.testing import CliRunner

from selfinstruct.api import run
from selfinstruct.cli import app
from selfinstruct.config.schema import RunConfig
from selfinstruct.display import cells, one_line
from selfinstruct.journal_events import Committed, Reserved
from selfinstruct.pipeline.summary import sizes_to, summarize
from selfinstruct.records import Reason
from selfinstruct.runner.directory import open_run, read_history, read_run


def told(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "100"})
    assert done.exit_code == 0
    return done.stdout


@given(st.integers(1, 10**9))
def test_sizes_grow_as_1_2_5(size: int) -> None:
    sizes = sizes_to(size)
    assert sizes == sorted(set(sizes))
    assert sizes[-2] <= size < sizes[-1]
    assert sizes[:3] == [1, 2, 5][: len(sizes)]
    assert all(larger == 10 * smaller for smaller, larger in zip(sizes, sizes[3:], strict=False))


def test_acceptance_by_pool_size_counts_whole_replies(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=ScriptedBackend())
    state = read_run(tmp_path / "run").state
    summary = summarize(state)
    # With ten seed tasks, the ranges of pool sizes are 10 to 19, and 20 to the end.
    assert [(s.smallest, s.largest) for s in summary.by_pool_size] == [
        (10, 19),
        (20, len(state.pool)),
    ]
    assert sum(s.accepted for s in summary.by_pool_size) == summary.accepted
    assert sum(s.candidates for s in summary.by_pool_size) == summary.candidates
    small = [
        entry.event
        for entry in read_history(tmp_path / "run")[1]
        if isinstance(entry.event, Committed) and state.pool_sizes[entry.event.number - 1] < 20
    ]
    accepted = sum(len(commit.accepted) for commit in small)
    assert summary.by_pool_size[0].accepted == accepted >= 10
    assert summary.by_pool_size[0].candidates == accepted + sum(len(c.rejected) for c in small)
    shown = " ".join(told("status", tmp_path / "run").split())
    first = summary.by_pool_size[0]
    assert f"10 to 19 {accepted} of {first.candidates}, {accepted / first.candidates:.0%}" in shown
    fields = json.loads(told("status", tmp_path / "run", "--json"))
    assert fields["by_pool_size"][0] == {
        "smallest": 10, "largest": 19, "candidates": first.candidates, "accepted": accepted
    }  # fmt: skip


def test_reservations_of_a_killed_process_are_spent(tmp_path: Path, config: RunConfig) -> None:
    with open_run(tmp_path / "run", config) as opened:
        assert opened.journal is not None
        opened.journal.append(
            Reserved(
                request_id="generate/000001",
                prompt_tokens=900,
                completion_tokens=100,
                replaces=False,
            )
        )
    fields = json.loads(told("status", tmp_path / "run", "--json"))
    assert fields["spent"] == fields["unheard"]
    assert (fields["spent"]["requests"], fields["spent"]["prompt_tokens"]) == (1, 900)


def test_a_new_run_has_no_such_rows(tmp_path: Path, config: RunConfig) -> None:
    with open_run(tmp_path / "run", config):
        pass
    shown = told("status", tmp_path / "run")
    assert "by pool size" not in shown
    assert "last not novel" not in shown
    fields = json.loads(told("status", tmp_path / "run", "--json"))
    assert (fields["by_pool_size"], fields["last_not_novel"]) == ([], None)


def test_the_last_duplicate_is_shown_with_its_match(tmp_path: Path, config: RunConfig) -> None:
    run(tmp_path / "run", config, backend=ScriptedBackend())
    state = read_run(tmp_path / "run").state
    last = state.last_not_novel
    commits = [e.event for e in read_history(tmp_path / "run")[1] if isinstance(e.event, Committed)]
    rejected = [rejection for commit in commits for rejection in commit.rejected]
    assert last == [r for r in rejected if r.reason is Reason.NOT_NOVEL][-1]
    assert last is not None
    assert last.nearest is not None
    lines = told("status", tmp_path / "run").splitlines()
    at = lines.index("  last not novel")
    assert lines[at + 1] == (
        f"    {last.candidate_id}, ROUGE-L {last.nearest.rouge_l:.3f} to {last.nearest.task_id}"
    )
    assert lines[at + 2 : at + 4] == [
        f"      {last.text}",
        f"      {state.pool.by_id(last.nearest.task_id).instruction}",
    ]
    fields = json.loads(told("status", tmp_path / "run", "--json"))["last_not_novel"]
    assert fields["nearest"]["task_id"] == last.nearest.task_id


@pytest.mark.parametrize("text", ["word " * 99, "港" * 99, "\x1b[2J" * 40, "a\nb" * 80])
def test_a_long_text_is_cut_to_one_line(text: str) -> None:
    line = one_line(text, 60)
    assert cells(line) <= 60
    assert line.endswith("…")
    assert line.isprintable()
