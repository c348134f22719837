"""Cells that a table program would run.

Excel, LibreOffice and Google Sheets take a cell that begins with one of some characters for a formula, and a
formula can send the table to somebody. Model output is written by nobody one knows. An apostrophe before it
makes it text; the data then has the apostrophe, so this is for looking at, not for training.

    =1+1            '=1+1
    so;=1+1         so;'=1+1      a cell of its own where a program takes semicolons or tabs to separate cells
"""

import re
from collections.abc import Mapping
from numbers import Number
from typing import Any

from selfinstruct.dataset.record_files.json_text import as_text

_STARTS = "=+\\-@\u2212\uff1d\uff0b\uff0d\uff20"
"""What a formula begins with, by OWASP's page on CSV injection; and a minus, and their wide forms."""
_UNSEEN = r"\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""What may stand before it and is passed over, or taken away with the mark that begins a file."""
_CELL = re.compile(f"[{_UNSEEN}]*[{_STARTS}]|[\t\r\n]")
_WITHIN = re.compile(f'(?<![;"{_UNSEEN}])[;"{_UNSEEN}]++(?=[{_STARTS}])')
_SEPARATORS = re.compile(r"[;\t\r\n]")
"""What other settings of these programs take for the end of a cell or a row, in quotes or not."""


def without_formulas(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with an apostrophe before each text, and name of a column, that may be a formula."""
    return {_safe(name): _safe_value(value) for name, value in row.items()}


def _safe_value(value: Any) -> Any:
    return value if value is None or isinstance(value, Number) else _safe(as_text(value))


def _safe(text: str) -> str:
    begin = "'" if _CELL.match(text) else ""
    return begin + _WITHIN.sub(
        lambda gap: f"{gap[0]}'" if _SEPARATORS.search(gap[0]) else gap[0], text
    )
