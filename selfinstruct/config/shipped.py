"""Where the templates and seed tasks that come with selfinstruct lie.

In a checkout they stand at the top of the tree, where people look for them; the wheel carries the same two
as `selfinstruct/shipped/`. One function finds both.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resource(name: str) -> Path:
    """Path of "prompts" or "seed_tasks.jsonl", in an installed wheel and in a checkout alike."""
    packaged = _PACKAGE / "shipped" / name
    return packaged if packaged.exists() else _PACKAGE.parent / name
