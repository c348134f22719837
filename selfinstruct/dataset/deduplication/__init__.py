"""Removal of near duplicates from lists of records, by exact ROUGE-L.

`filter_files` works on files, `Deduplication` on records in memory.
"""

from selfinstruct.dataset.deduplication.decisions import (
    Deduplication,
    Kept,
    ListedText,
    Rejected,
)
from selfinstruct.dataset.deduplication.field_text import has_text, text_of
from selfinstruct.dataset.deduplication.filter_files import FilterSummary, filter_files

__all__ = [
    "Deduplication",
    "FilterSummary",
    "Kept",
    "ListedText",
    "Rejected",
    "filter_files",
    "has_text",
    "text_of",
]
