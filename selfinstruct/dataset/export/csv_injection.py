"""Protection against cells that a spreadsheet program would run.

Excel, LibreOffice and Google Sheets run a cell that begins with certain characters as a formula, and a
formula can send the table to another machine. An apostrophe before the text prevents this. The data then
contains the apostrophe, so protected files are for reading, not for training.

    =1+1            '=1+1
    so;=1+1         so;'=1+1      a separate cell for programs that split at semicolons or tabs
"""

import re
from collections.abc import Mapping
from numbers import Number
from typing import Any

from selfinstruct.dataset.record_files.values import as_text

_STARTS = "=+\\-@\u2212\uff1d\uff0b\uff0d\uff20"
"""The first characters of formulas: OWASP's page on CSV injection, the minus sign, and wide forms."""
_UNSEEN = r"\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""Characters that programs skip before a formula."""
_CELL = re.compile(f"[{_UNSEEN}]*[{_STARTS}]|[\t\r\n]")
_WITHIN = re.compile(f'(?<![;"{_UNSEEN}])[;"{_UNSEEN}]++(?=[{_STARTS}])')
_SEPARATORS = re.compile(r"[;\t\r\n]")
"""Ends of a cell or a row in other settings of these programs, inside quotes too."""


def without_formulas(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with an apostrophe before every text and column name that may be a formula."""
    return {_safe(name): _safe_value(value) for name, value in row.items()}


def _safe_value(value: Any) -> Any:
    return value if value is None or isinstance(value, Number) else _safe(as_text(value))


def _safe(text: str) -> str:
    begin = "'" if _CELL.match(text) else ""
    return begin + _WITHIN.sub(
        lambda gap: f"{gap[0]}'" if _SEPARATORS.search(gap[0]) else gap[0], text
    )
