"""Shared fixtures and options."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import make_seed_task

from selfinstruct.config.schema import RunConfig
from selfinstruct.pipeline.seed_tasks import render_seed_tasks
from selfinstruct.records import SeedTask
from selfinstruct.simulate.server.listening import SimulatedEndpoint


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --thorough, which runs all cases of tests that sample by default."""
    parser.addoption(
        "--thorough", action="store_true", help="try every case of the tests that sample"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the hypothesis profiles.

    The daily run has a third of the examples, and the same ones each time. The thorough run draws new ones.
    """
    for name, max_examples in (("daily", 33), ("thorough", 100)):
        settings.register_profile(
            name,
            max_examples=max_examples,
            derandomize=name == "daily",
            # Both depend on the clock, and fail on a busy machine.
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile("thorough" if config.getoption("--thorough") else "daily")


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Return whether to run every case."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the keys and proxies of the user from all tests."""
    for name in list(os.environ):
        if name.startswith("OPENAI_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def seed_tasks() -> list[SeedTask]:
    """Return ten different seed tasks."""
    return [make_seed_task(number) for number in range(10)]


@pytest.fixture
def seeds_file(tmp_path: Path, seed_tasks: list[SeedTask]) -> Path:
    """Return a file with the ten seed tasks."""
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(render_seed_tasks(seed_tasks))
    return path


@pytest.fixture
def config(seeds_file: Path) -> RunConfig:
    """Return the settings of a small run."""
    return RunConfig(model="scripted", num_instructions=12, seed_tasks=seeds_file)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[SimulatedEndpoint]:
    """Serve a simulated endpoint; it is stateless, so tests share it."""
    with SimulatedEndpoint() as served:
        yield served
