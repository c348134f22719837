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
    from selfinstruct.dataset.decontamination.decontaminate_records import decontaminate_records
    from selfinstruct.dataset.deduplication.filter_records import filter_records
    from selfinstruct.dataset.export.export_records import export_records
    from selfinstruct.errors import SelfInstructError
    from selfinstruct.pipeline.novelty import NoveltyIndex
    from selfinstruct.pipeline.seed_tasks import read_seed_tasks
    from selfinstruct.pipeline.summary import RunSummary
    from selfinstruct.records import Completion, Instance, Request, SeedTask, Task, Usage
    from selfinstruct.runner.directory import Run, open_run
    from selfinstruct.runner.loop import grow

__version__ = "0.1.0"

_NAMES = {
    "api": ("Progress", "arun", "export_run", "import_run", "read_frame", "run"),
    "backend": ("Backend",),
    "config.schema": ("RunConfig",),
    "dataset.decontamination.decontaminate_records": ("decontaminate_records",),
    "dataset.deduplication.filter_records": ("filter_records",),
    "dataset.export.export_records": ("export_records",),
    "errors": ("SelfInstructError",),
    "pipeline.novelty": ("NoveltyIndex",),
    "pipeline.seed_tasks": ("read_seed_tasks",),
    "pipeline.summary": ("RunSummary",),
    "records": ("Completion", "Instance", "Request", "SeedTask", "Task", "Usage"),
    "runner.directory": ("Run", "open_run"),
    "runner.loop": ("grow",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

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
    "decontaminate_records",
    "export_records",
    "export_run",
    "filter_records",
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
