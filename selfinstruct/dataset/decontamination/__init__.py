"""Searches records for benchmark items.

A hit means that a record contains a benchmark item. There are two kinds of hits:

    ngram      The record and the item share 13 consecutive words. If one of the item's texts has only 8 to 12
               words, the record must contain all of them.
    rouge_l    The ROUGE-L between one of the record's texts and one of the item's texts is more than 0.7. If
               the item's text has only 4 to 7 words, all words must be equal.

Words are the tokens from `selfinstruct.pipeline.tokenizers.unicode`, so case and punctuation do not matter.
If more than 10 items in a benchmark share the same consecutive words, or the same text, these are considered
to be common phrases, so they do not cause a hit. Items with identical words count as one item for this limit.
`selfinstruct.dataset.decontamination.item_texts` selects an item's texts. `decontaminate_records` works
on files.

    >>> from selfinstruct.dataset.decontamination.item_texts import item_of
    >>> from selfinstruct.dataset.decontamination.field_texts import FieldText
    >>> from selfinstruct.dataset.decontamination.index import BenchmarkIndex
    >>> fields = {"question": "How many spoons does the harbour master of Veldt keep in the drawer?"}
    >>> item, layout = item_of(fields, benchmark="quiz.jsonl", place="quiz.jsonl:1")
    >>> index = BenchmarkIndex([item])
    >>> text = "Say it: how many spoons does the harbour master of Veldt keep in the drawer, and why?"
    >>> [[hit]] = index.check([[FieldText("instruction", text)]])
    >>> hit.kind, hit.field, hit.words
    ('ngram', 'instruction', 'how many spoons does the harbour master of veldt keep in the drawer')
"""
