"""Novelty: is a text farther than a threshold from everything in a pool, in ROUGE-L?

Exact: the decision and the score are those that the rouge-score package comes to, for any threshold, any pool
and texts of any length. Fast: of a pool of 52,000 instructions a text is compared with a dozen.

    >>> index = NoveltyIndex(threshold=0.7, tokenizer="rouge")
    >>> index.add("Write a short poem about the sea.")
    0
    >>> index.check("Write a short poem about the old sea.")
    NoveltyResult(novel=False, position=0, rouge_l=0.9333333333333333)
    >>> index.check("How many legs has a spider?").novel
    True

    index.py          the pool, and what is said of texts
    found.py          how it is said
    characters.py     tokens as characters: a text becomes a string
    nearby.py         what may be near a text: levels and a tail
    level.py          an index of a part of the pool: which texts share enough rare tokens
    sequences.py      strings as arrays, and their signatures
    rouge_l.py        F, and what must hold where it is over a threshold
    similarities.py   the mean score with all texts before, and the most similar ones
"""

from selfinstruct.pipeline.novelty.index import NoveltyIndex
from selfinstruct.pipeline.novelty.results import NoveltyResult, Similar, Similarities
from selfinstruct.pipeline.novelty.rouge_l import f_measure

__all__ = ["NoveltyIndex", "NoveltyResult", "Similar", "Similarities", "f_measure"]
