"""One side of a comparison: the answers of one model to a test set, and their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gemtune.data.examples import Example
from gemtune.evaluation.answers.counts import count_answers
from gemtune.evaluation.comparing.statistics import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.test_set import accepted_answers

ScoredRow = tuple[int, Prediction, Floats]
"""(Index of the example, prediction, row of statistics)."""
ScoredBatch = Sequence[ScoredRow]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Answers in the order of the test set, and all that their scores are made of."""

    name: str
    predictions: Sequence[Prediction]
    statistics: Floats
    """Shape (rows, statistics), see `Scorer.statistics`."""
    decode: Mapping[str, Any] | None
    """Settings that the answers depend on; None where nobody wrote them down."""
    answer_seconds: float | None = None
    """Wall time of decoding and scoring; None for answers that were read from a file."""


def score_rows(
    scorer: Scorer, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> Floats:
    """Score predictions against all accepted answers; shape (rows, statistics)."""
    return scorer.statistics(predictions, [accepted_answers(example) for example in examples])


def knows_loss(predictions: Sequence[Prediction]) -> bool:
    """Whether the metric `loss` can be had: files of other tools do not tell it."""
    return all(found.reference_loss is not None for found in predictions)


def side_metrics(side: Side, scorer: Scorer, examples: Sequence[Example]) -> dict[str, float]:
    """Return the corpus scores, `rouge1 rouge2 rougeL bleu` first, then the counts."""
    scores = scorer.corpus(side.statistics.sum(axis=0))
    return {
        **{metric.name: float(score) for metric, score in zip(scorer.metrics, scores, strict=True)},
        **count_answers(side.predictions, examples),
    }
