r"""From the text of a reply to what it says: candidates, yes or no, instances. Each with its rejections.

Pure, and total: no text makes a parser raise, none invents words, and what it returns stands in the reply up
to case and white space. Two families of parsers have the same signatures, so that a profile is a choice:

    paper                                    reads as the published code does, faults included
    lists, answers, instances, blocks        read what today's models write

    "9. Name three rivers.\n10. Sum up the le"  (cut)  →  "Name three rivers."; "Sum up the le": truncated
    "Yes."                                             →  yes
    "Input: 3 + 4\nOutput: 7"                          →  Instance(input="3 + 4", output="7")
"""

PARSERS_VERSION = 1
"""Rises when the same reply may be read differently; part of a run's fingerprint."""
