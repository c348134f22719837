"""Prevents CSV injection: texts that spreadsheet programs would execute as formulas.

Excel, LibreOffice and Google Sheets execute a cell as a formula if it begins with certain characters. A
formula can send the table's content to another machine. An apostrophe before the text prevents this. The
apostrophe becomes part of the data, so protected files are for reading, not for training.

    =1+1       →  '=1+1
    so;=1+1    →  so;'=1+1      because some programs split cells at semicolons or tabs
"""

import re
from collections.abc import Mapping
from numbers import Number
from typing import Any

from selfinstruct.dataset.record_files.values import as_text

_STARTS = "=+\\-@\u2212\uff1d\uff0b\uff0d\uff20"
"""Characters that a formula can begin with: those listed by OWASP, the minus sign, and full-width forms."""
_UNSEEN = r"\s\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""Characters that spreadsheet programs skip before a formula."""
_CELL = re.compile(f"[{_UNSEEN}]*[{_STARTS}]|[\t\r\n]")
_WITHIN = re.compile(f'(?<![;"{_UNSEEN}])[;"{_UNSEEN}]++(?=[{_STARTS}])')
_SEPARATORS = re.compile(r"[;\t\r\n]")
"""Characters that may end a cell or row in spreadsheet programs, even within quotes."""


def without_formulas(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with an apostrophe before each text and column name that may be a formula."""
    return {_safe(name): _safe_value(value) for name, value in row.items()}


def _safe_value(value: Any) -> Any:
    return value if value is None or isinstance(value, Number) else _safe(as_text(value))


def _safe(text: str) -> str:
    begin = "'" if _CELL.match(text) else ""
    return begin + _WITHIN.sub(
        lambda gap: f"{gap[0]}'" if _SEPARATORS.search(gap[0]) else gap[0], text
    )
