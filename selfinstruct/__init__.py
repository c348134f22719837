"""Self-Instruct (Wang et al., 2022, arXiv 2212.10560): grow seed tasks into instruction data.

The command line is in `selfinstruct.cli`. Python code imports from this module:

    >>> from selfinstruct import RunConfig, export_run, run                     # doctest: +SKIP
    >>> config = RunConfig(model="gpt-5.4-mini", num_instructions=200)          # doctest: +SKIP
    >>> summary = run("my-run", config)   # a second call continues the run    # doctest: +SKIP
    >>> export_run("my-run", "alpaca_data.json")                                # doctest: +SKIP

Each name is imported on first use, so that `import selfinstruct` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfinstruct.api import Progress, arun, export_run, import_run, read_frame, run
    from selfinstruct.backend import Backend
    from selfinstruct.config.schema import RunConfig
    from selfinstruct.errors import SelfInstructError
    from selfinstruct.pipeline.novelty import NoveltyIndex
    from selfinstruct.pipeline.seed_tasks import read_seed_tasks
    from selfinstruct.pipeline.summary import RunSummary
    from selfinstruct.records import Completion, Instance, Request, SeedTask, Task, Usage
    from selfinstruct.runner.directory import Run, open_run
    from selfinstruct.runner.loop import grow

__version__ = "0.1.0"

_HOMES = {
    "Backend": "backend",
    "Completion": "records",
    "Instance": "records",
    "NoveltyIndex": "pipeline.novelty",
    "Progress": "api",
    "Request": "records",
    "Run": "runner.directory",
    "RunConfig": "config.schema",
    "RunSummary": "pipeline.summary",
    "SeedTask": "records",
    "SelfInstructError": "errors",
    "Task": "records",
    "Usage": "records",
    "arun": "api",
    "export_run": "api",
    "grow": "runner.loop",
    "import_run": "api",
    "open_run": "runner.directory",
    "read_frame": "api",
    "read_seed_tasks": "pipeline.seed_tasks",
    "run": "api",
}

__all__ = [
    "Backend",
    "Completion",
    "Instance",
    "NoveltyIndex",
    "Progress",
    "Request",
    "Run",
    "RunConfig",
    "RunSummary",
    "SeedTask",
    "SelfInstructError",
    "Task",
    "Usage",
    "arun",
    "export_run",
    "grow",
    "import_run",
    "open_run",
    "read_frame",
    "read_seed_tasks",
    "run",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'selfinstruct' has no attribute {name!r}")
    return getattr(import_module(f"selfinstruct.{_HOMES[name]}"), name)
