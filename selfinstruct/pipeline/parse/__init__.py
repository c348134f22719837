r"""Parsers: turn the text of a reply into candidates, answers or instances, and into rejections.

Parsers are pure and never raise an exception. They add no words: apart from letter case and white space, all
accepted text occurs in the reply. There are two sets of parsers with the same signatures. The run's profile
determines which set is used:

    paper                                            parses like the published code, including its faults
    lists, classification, instances, alpaca_blocks  parse the formats that current models write

    "9. Name three rivers.\n10. Sum up the le"  (cut)  →  "Name three rivers."; "Sum up the le": truncated
    "Yes."                                             →  yes
    "Input: 3 + 4\nOutput: 7"                          →  Instance(input="3 + 4", output="7")
"""

PARSERS_VERSION = 1
"""Version of the parsers; part of a run's fingerprint. Increase it whenever any result changes."""
