"""The generation method: seed tasks → prompts → parsers → filters → novelty → pool.

This package uses neither the network nor the journal.
"""
