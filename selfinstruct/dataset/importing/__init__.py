"""Import of files from the published Self-Instruct code, from Stanford Alpaca and similar tools as a run.

    source_formats    record → statement about a task: instruction, kind, raw reply, rows
    merge             statements → tasks, one for each exact instruction
    tasks             task → journal event
    directory         files → run directory, created completely or not at all

Every record is used or counted by cause. Imported tasks pass no rule and no novelty check. The parsers of the
run's profile read raw replies.
"""
