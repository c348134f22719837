"""Where the templates and seed tasks that come with selfinstruct lie.

In a checkout they stand at the top of the tree, where people look for them; the wheel carries the same two
as `selfinstruct/data/`. One function finds both.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Path of "prompts" or "seed_tasks.jsonl", in an installed wheel and in a checkout alike."""
    packaged = _PACKAGE / "data" / name
    return packaged if packaged.exists() else _PACKAGE.parent / name
