"""Files of the published Self-Instruct code, of Stanford Alpaca and their like become a run that can grow.

    recognise    record → what it says of a task (an instruction, its kind, a raw reply, rows)
    gather       what all records say of each task, joined by its exact instruction
    tasks        a task so gathered → the event that a journal has of it
    directory    files → run directory, made whole or not at all

Nothing is dropped silently, and nothing is decided anew: no rule and no novelty check. What the old tools
wrote down raw, answers and instances, is read by the parsers of the run's profile.
"""
