"""Imports files from the published Self-Instruct code, Stanford Alpaca and similar tools into a new run.

    source_formats    record → statement about a task: instruction, kind, raw reply, rows
    merge             statements → tasks, one for each distinct instruction
    tasks             task → journal event
    directory         files → run directory, created completely or not at all

Every record is either used or counted under the cause for which it is left out. Filter rules and the novelty
check are not applied to imported tasks. The run's profile selects the parsers for raw replies.
"""
