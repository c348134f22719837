"""Searches records for benchmark items.

There are two kinds of hits, which mean that a record contains a benchmark item:

    ngram      The record and the item share 13 consecutive words. If one of the item's texts has only 8 to 12
               words, the record must contain all of them.
    rouge_l    One of the record's texts has a ROUGE-L of more than 0.7 to one of the item's texts that has at
               least 8 words. For texts of 4 to 7 words, all words must be equal.

Words are the tokens of `selfinstruct.pipeline.tokenizers.unicode`, so case and punctuation do not matter.
Words in a row, or texts, that more than 10 items of a benchmark share are its usual phrases and no hit; items
with equal words count as one item there. `selfinstruct.dataset.decontamination.benchmark_items` chooses the
texts of an item. `decontaminate_records` works on files.

    >>> from selfinstruct.dataset.decontamination.benchmark_items import item_of
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
