"""Check with the rouge-score package that a witness's similarity is over the threshold.

Runs do not use this package. Any task in the pool with a similarity over the threshold is a correct witness.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import SimpleNamespace

from selfinstruct.analysis.verify.differences import natural
from selfinstruct.analysis.verify.results import Verification
from selfinstruct.journal_events import Accepted
from selfinstruct.pipeline.state import RunState
from selfinstruct.pipeline.tokenizers import TOKENIZERS
from selfinstruct.records import Rejection


def objections(
    rejection: Rejection, accepted: Sequence[Accepted], state: RunState, result: Verification
) -> Iterator[str]:
    """Yield what is wrong with the witness of a candidate that was rejected as not novel.

    `accepted` are the tasks accepted from the same reply. `state` is the state before the reply. Counts the
    witness in `result` if its score can be recomputed.
    """
    witness = rejection.nearest
    if witness is None:
        yield "was rejected as not novel without a witness"
        return
    in_reply = [
        a.instruction
        for a in accepted
        if a.task_id == witness.task_id
        and natural(a.candidate_id) < natural(rejection.candidate_id)
    ]
    try:
        text = in_reply[0] if in_reply else state.pool.by_id(witness.task_id).instruction
    except KeyError:
        yield f"its witness {witness.task_id} was not in the pool at that time"
        return
    result.witnesses += 1
    score, threshold = _rouge_l(state.index.tokenizer)(text, rejection.text), state.index.threshold
    if witness.rouge_l != score:
        yield f"the journal says that {witness.task_id} has a ROUGE-L of {witness.rouge_l}; it is {score}"
    if score <= threshold:
        yield f"its witness {witness.task_id} has a ROUGE-L of {score}, which is not over {threshold}"


@cache
def _rouge_l(tokenizer: str) -> Callable[[str, str], float]:
    """Return a function that computes the ROUGE-L F-measure of two texts with the rouge-score package.

    For the tokenizer "rouge", the function uses the package's tokenizer.
    """
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    tokens = SimpleNamespace(tokenize=TOKENIZERS[tokenizer])
    if tokenizer == "rouge":
        tokens = DefaultTokenizer(use_stemmer=False)
    scorer = RougeScorer(["rougeL"], tokenizer=tokens)
    return lambda pooled, text: float(scorer.score(pooled, text)["rougeL"].fmeasure)
