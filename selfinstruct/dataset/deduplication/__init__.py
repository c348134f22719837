"""Removes near-duplicates from lists of records, using exact ROUGE-L.

`filter_records` works on files. `Deduplication` works on records in memory.
"""
