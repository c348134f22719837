r"""Parsers: from the text of a reply to candidates, answers or instances, with their rejections.

Parsers are pure and never raise. They add no words: accepted text occurs in the reply, apart from letter case
and white space. Two sets of parsers share the same signatures, and a profile chooses one set:

    paper                                            parses as the published code does, faults included
    lists, classification, instances, alpaca_blocks  parse the formats of current models

    "9. Name three rivers.\n10. Sum up the le"  (cut)  →  "Name three rivers."; "Sum up the le": truncated
    "Yes."                                             →  yes
    "Input: 3 + 4\nOutput: 7"                          →  Instance(input="3 + 4", output="7")
"""

PARSERS_VERSION = 1
"""Version of the parsers, part of a run's fingerprint. It rises with any change of a result."""
