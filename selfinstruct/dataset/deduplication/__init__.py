"""Removes near-duplicates from lists of records, by exact ROUGE-L.

`filter_records` works on files, `Deduplication` on records in memory.
"""
