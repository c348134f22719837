"""Search for benchmark items in records.

A record contains what a benchmark asks, a hit, in two cases:

    ngram      13 words in a row are also in a text of an item. Texts of 8 to 12 words must occur completely.
    rouge_l    a whole text has a ROUGE-L over 0.7 to a whole text of an item with at least 8 words. Texts of
               4 to 7 words must be equal word by word.

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
