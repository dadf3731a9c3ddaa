"""ROUGE-1, ROUGE-2 and ROUGE-L, bit-equal to `rouge_score` with its stemmer.

`rouge-score-rs` (extra `fast`) computes the same bits many times faster and is used where it is
installed; scores do not depend on which of the two is there, so the signature does not name it.
Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries".
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Protocol

from rouge_score import rouge_scorer
from rouge_score.tokenizers import DefaultTokenizer

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, mean_family

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")


class _Score(Protocol):
    @property
    def fmeasure(self) -> float: ...


class RougeScorer(Protocol):
    """What both packages offer."""

    def score_multi(self, targets: Sequence[str], prediction: str) -> Mapping[str, _Score]:
        """Scores against the reference that is best for each type."""
        ...


def rouge_family() -> Family:
    """F of each type against the best reference, 0 to 1."""
    return mean_family(
        "rouge",
        tuple(Metric(name) for name in ROUGE_TYPES),
        lambda prediction, accepted: rouge_f(installed_scorer(), prediction, accepted),
        f"rouge_score {version('rouge-score')}|stemmer|F|best reference|0..1",
    )


def rouge_f(scorer: RougeScorer, prediction: Prediction, references: Sequence[str]) -> list[float]:
    """F against the best reference, in the order of `ROUGE_TYPES`."""
    scores = scorer.score_multi(references, prediction.text)
    return [scores[rouge_type].fmeasure for rouge_type in ROUGE_TYPES]


@cache
def installed_scorer() -> RougeScorer:
    """The faster of the packages that are there."""
    return fast_scorer() if find_spec("rouge_score_rs") else reference_scorer()


def fast_scorer() -> RougeScorer:
    """The twin in Rust; needs the extra `fast`."""
    return import_module("rouge_score_rs").RougeScorer(list(ROUGE_TYPES), use_stemmer=True)


def reference_scorer() -> RougeScorer:
    """The package whose scores are the standard."""
    # Handing the default tokenizer over keeps rouge_score from announcing it in the log.
    return rouge_scorer.RougeScorer(list(ROUGE_TYPES), tokenizer=DefaultTokenizer(use_stemmer=True))
