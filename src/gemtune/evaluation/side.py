"""One side of a comparison: the answers of one model to a test set, and their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gemtune.data.examples import Example
from gemtune.evaluation.predictions import Prediction
from gemtune.evaluation.scores import METRICS, corpus_scores, row_statistics
from gemtune.evaluation.statistics import Floats
from gemtune.evaluation.test_set import accepted_answers

ScoredBatch = Sequence[tuple[int, Prediction, Floats]]
"""(Index of the example, prediction, row of statistics)."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Answers in the order of the test set, and all that their scores are made of."""

    name: str
    predictions: Sequence[Prediction]
    statistics: Floats
    """Shape (rows, 15), see `scores.row_statistics`."""
    decode: Mapping[str, Any] | None
    """Settings that the answers depend on; None where nobody wrote them down."""
    answer_seconds: float | None = None
    """Wall time of decoding and scoring; None for answers that were read from a file."""


def score_rows(examples: Sequence[Example], predictions: Sequence[Prediction]) -> Floats:
    """Score predictions against all accepted answers; shape (rows, 15)."""
    return row_statistics(
        [prediction.text for prediction in predictions],
        [accepted_answers(example) for example in examples],
    )


def side_metrics(side: Side) -> dict[str, float]:
    """Return the corpus scores, `rouge1 rouge2 rougeL bleu` first, then the counts."""
    scores = corpus_scores(side.statistics.sum(axis=0))
    predictions = side.predictions
    return {
        **dict(zip(METRICS, scores.tolist(), strict=True)),
        "n_examples": len(predictions),
        "n_empty": sum(not prediction.text for prediction in predictions),
        "n_truncated": sum(prediction.finish_reason == "length" for prediction in predictions),
        "n_prompts_truncated": sum(bool(found.prompt_truncated) for found in predictions),
    }
