"""Contamination: does a record hold what a benchmark asks? Texts go in, hits come out; no file is read here.

A hit is one of

    ngram      a run of 13 words that a text of an item has, too; or all the words of such a text, in a row,
               where it has 8 to 12
    rouge_l    a whole text with a ROUGE-L over 0.7 to a whole text of an item that has 8 words or more; or
               the very same words as one of 4 to 7

Words are the tokens of `selfinstruct.pipeline.tokenizers.unicode`, so that case and punctuation make no
difference. A run, or a text, that more than 10 items of a benchmark have is how the benchmark talks, and no
hit; items with the same words count once there. Which texts of an item count is said in
`selfinstruct.dataset.decontamination.benchmark_items`.

    >>> fields = {"question": "How many spoons does the harbour master of Veldt keep in the drawer?"}
    >>> item, layout = item_of(fields, benchmark="quiz.jsonl", place="quiz.jsonl:1")
    >>> index = BenchmarkIndex([item])
    >>> text = "Say it: how many spoons does the harbour master of Veldt keep in the drawer, and why?"
    >>> [[hit]] = index.check([[FieldText("instruction", text)]])
    >>> hit.kind, hit.field, hit.words
    ('ngram', 'instruction', 'how many spoons does the harbour master of veldt keep in the drawer')
"""

from selfinstruct.dataset.decontamination.benchmark_items import (
    LONG_ENOUGH,
    OTHER,
    Item,
    item_of,
    layout_of,
)
from selfinstruct.dataset.decontamination.field_texts import FieldText, is_within, texts_of
from selfinstruct.dataset.decontamination.index import (
    COMMON,
    NGRAM,
    SHORTEST,
    THRESHOLD,
    BenchmarkIndex,
    Hit,
    Source,
)

__all__ = [
    "COMMON",
    "LONG_ENOUGH",
    "NGRAM",
    "OTHER",
    "SHORTEST",
    "THRESHOLD",
    "BenchmarkIndex",
    "FieldText",
    "Hit",
    "Item",
    "Source",
    "is_within",
    "item_of",
    "layout_of",
    "texts_of",
]
