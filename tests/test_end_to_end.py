"""Run every recipe, API and profile against the simulated endpoint over a real socket."""

from pathlib import Path

import pytest
from support import exported as export_of

from selfinstruct.api import run
from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.recipes import RECIPES
from selfinstruct.pipeline.summary import summarize
from selfinstruct.records import Reason
from selfinstruct.runner.directory import read_run
from selfinstruct.simulate import FaultShares, SimulatedEndpoint


@pytest.mark.parametrize("profile", ["default", "paper"])
@pytest.mark.parametrize("api", ["chat", "completions"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_accepts_most_candidates(
    tmp_path: Path, endpoint: SimulatedEndpoint, recipe: str, api: str, profile: str
) -> None:
    config = RunConfig(
        model="simulated",
        base_url=endpoint.base_url,
        num_instructions=40,
        recipe=recipe,
        api=api,
        profile=profile,
    )
    summary = run(tmp_path / "run", config)
    assert summary.accepted >= 40
    assert summary.candidates == summary.accepted + sum(summary.rejected.values())
    assert summary.accepted > summary.candidates / 2
    assert summary.with_instances > summary.accepted * 0.8
    first = {
        t.provenance.ordinal
        for t in read_run(tmp_path / "run").state.pool.generated
        if t.provenance
    }
    assert 1 in first
    assert summarize(read_run(tmp_path / "run").state) == summary


@pytest.mark.parametrize("mix", [{"show_input": True}, {"classification_seeds_only": True}])
def test_mixes_accept_most_candidates(
    tmp_path: Path, endpoint: SimulatedEndpoint, mix: dict[str, bool]
) -> None:
    config = RunConfig(model="simulated", base_url=endpoint.base_url, num_instructions=40)
    config = config.changed(**mix)
    summary = run(tmp_path / "run", config)
    assert summary.accepted > summary.candidates / 2
    texts = [task.instruction for task in read_run(tmp_path / "run").state.pool.generated]
    assert not any("Input:" in text for text in texts)


@pytest.mark.parametrize("recipe", RECIPES)
def test_chat_habits_do_not_change_the_dataset(tmp_path: Path, recipe: str) -> None:
    """Check that replies with reasoning, repeated prompts and bold markers lead to the same dataset bytes."""
    habits: dict[str, FaultShares] = {
        # A list with bullets after an echo of a numbered list is ambiguous.
        "plain": FaultShares(malformed=0.0),
        "all": FaultShares(malformed=0.0, thinking=1.0, prompt_echoed=1.0, markers_restyled=1.0),
    }
    exported: dict[str, bytes] = {}
    for name, shares in habits.items():
        with SimulatedEndpoint(shares=shares) as endpoint:
            config = RunConfig(
                model="simulated",
                base_url=endpoint.base_url,
                num_instructions=60,
                recipe=recipe,
                # There is no max_tokens, because reasoning and echoes take tokens and would shift the cut.
                generate_max_tokens=None,
                classify_max_tokens=None,
                instances_max_tokens=None,
            )
            run(tmp_path / name, config)
        exported[name] = export_of(tmp_path / name, "alpaca")
    echoed = read_run(tmp_path / "all").state.counts.rejected[Reason.ECHO]
    assert echoed > 0
    assert exported["all"] == exported["plain"]
