"""Find the templates and seed tasks that come with selfinstruct.

In a checkout, `prompts/` and `seed_tasks.jsonl` are in the repository root. In a wheel, they are in
`selfinstruct/shipped/`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def resource(name: str) -> Path:
    """Return the path of "prompts" or "seed_tasks.jsonl", in the installed wheel or in the checkout."""
    packaged = _PACKAGE / "shipped" / name
    return packaged if packaged.exists() else _PACKAGE.parent / name
