"""Was the witness that a rejection names in the pool then, and over the threshold by the score named?

By the rouge-score package itself, which has no part in deciding. Any task over the threshold will do.
"""

from collections.abc import Callable, Iterator, Sequence

from selfinstruct.analysis.verify.differences import natural
from selfinstruct.config.schema import RunConfig
from selfinstruct.events import Accepted
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.tokenizers import TOKENIZERS
from selfinstruct.records import Rejection


class Witnesses:
    """The witnesses of a run, each scored again."""

    def __init__(self, config: RunConfig) -> None:
        self.scored = 0
        self._config = config
        self._score: Callable[[str, str], float] | None = None

    def objections(
        self, rejection: Rejection, accepted: Sequence[Accepted], state: RunState
    ) -> Iterator[str]:
        """What speaks against a candidate's not being novel.

        `accepted` are those of its reply, `state` is the one before that.
        """
        if rejection.nearest is None:
            yield "is called not novel without a witness"
            return
        named = rejection.nearest
        in_reply = [
            a.instruction
            for a in accepted
            if a.task_id == named.task_id
            and natural(a.candidate_id) < natural(rejection.candidate_id)
        ]
        try:
            text = in_reply[0] if in_reply else state.pool.by_id(named.task_id).instruction
        except KeyError:
            yield f"its witness {named.task_id} was not in the pool then"
            return
        self.scored += 1
        if self._score is None:
            self._score = _rouge_l(self._config.tokenizer)
        score = self._score(text, rejection.text)
        if named.rouge_l != score:
            yield f"the journal gives it a ROUGE-L of {named.rouge_l} to {named.task_id}; it is {score}"
        if score <= self._config.threshold:
            yield (
                f"its witness {named.task_id} has a ROUGE-L of {score}, which is not over "
                f"{self._config.threshold}"
            )


def _rouge_l(tokenizer: str) -> Callable[[str, str], float]:
    """ROUGE-L F by the rouge-score package: its own tokenizer for "rouge", ours for what it does not know."""
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    tokens = DefaultTokenizer(use_stemmer=False) if tokenizer == "rouge" else _Ours(tokenizer)
    scorer = RougeScorer(["rougeL"], tokenizer=tokens)
    return lambda pooled, text: float(scorer.score(pooled, text)["rougeL"].fmeasure)


class _Ours:
    """One of our tokenizers as rouge-score takes it."""

    def __init__(self, name: str) -> None:
        self.tokenize = TOKENIZERS[name]
