"""Decide whether a text is novel: its ROUGE-L score with every text in a pool must be at most a threshold.

The index is exact: decisions and scores are the same as with the rouge-score package, for any threshold, pool
and text length. It is also fast: in a pool of 52,000 instructions, a new text is compared with only about a
dozen of them.

    >>> index = NoveltyIndex(threshold=0.7, tokenizer="rouge")
    >>> index.add("Write a short poem about the sea.")
    0
    >>> index.check("Write a short poem about the old sea.")
    NoveltyResult(novel=False, position=0, rouge_l=0.9333333333333333)
    >>> index.check("How many legs has a spider?").novel
    True

    index.py            the pool and its public methods
    results.py          result types
    token_encoding.py   encodes each token as a character, and thus each text as a string
    neighbours.py       the search for texts that may be over the threshold
    index_level.py      an inverted index of part of the pool, by rare tokens
    token_sequences.py  encoded texts as arrays, with signatures
    rouge_l.py          the F-measure, and lower bounds on the tokens that similar texts share
    similarities.py     mean scores and the most similar texts
"""

from selfinstruct.pipeline.novelty.index import NoveltyIndex
from selfinstruct.pipeline.novelty.results import NoveltyResult, Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measure

__all__ = ["NoveltyIndex", "NoveltyResult", "Similar", "Similarities", "f_measure"]
