"""Loads exported files with pandas, and returns their rows.

A job is {"file": FILE, "kind": KIND, "options": {…}}. The function `pandas.read_KIND` loads the file.
"""

from pathlib import Path
from typing import Any

import pandas
from readers.jobs import Job, carry_out


def read(job: Job, _model: str, _room: Path) -> list[dict[str, Any]]:
    """Return the rows. Missing values are None."""
    frame = getattr(pandas, f"read_{job['kind']}")(job["file"], **job.get("options", {}))
    rows: list[dict[str, Any]] = [
        {name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")
    ]
    return rows


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # This is a NumPy array or number.
        return value.tolist()
    return None if pandas.isna(value) else value


if __name__ == "__main__":
    carry_out(read)
