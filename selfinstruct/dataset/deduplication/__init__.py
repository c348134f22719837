"""Removes near-duplicates from lists of records, by exact ROUGE-L.

`filter_files` works on files, and `Deduplication` works on records in memory.
"""
