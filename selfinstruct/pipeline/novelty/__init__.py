"""Novelty: compare a text with a pool by ROUGE-L, and decide whether all scores are at most a threshold.

Exact: decisions and scores are the same as with the rouge-score package, for any threshold, pool and text
length. Fast: in a pool of 52,000 instructions, a text is compared with about a dozen.

    >>> index = NoveltyIndex(threshold=0.7, tokenizer="rouge")
    >>> index.add("Write a short poem about the sea.")
    0
    >>> index.check("Write a short poem about the old sea.")
    NoveltyResult(novel=False, position=0, rouge_l=0.9333333333333333)
    >>> index.check("How many legs has a spider?").novel
    True

    index.py            the pool and its public methods
    results.py          result types
    token_encoding.py   tokens as characters, so that a text becomes a string
    neighbours.py       the search for texts that may be over the threshold
    index_level.py      an index of a part of the pool, by shared rare tokens
    token_sequences.py  strings as arrays, with signatures
    rouge_l.py          the F-measure, and lower bounds for scores over the threshold
    similarities.py     mean scores, and the most similar texts
"""

from selfinstruct.pipeline.novelty.index import NoveltyIndex
from selfinstruct.pipeline.novelty.results import NoveltyResult, Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measure

__all__ = ["NoveltyIndex", "NoveltyResult", "Similar", "Similarities", "f_measure"]
