"""Whether longer or shorter answers explain the difference.

Source: Dubois et al. 2024, "Length-Controlled AlpacaEval" (arXiv:2404.04475), with a straight line
in place of their logistic one.
"""

from collections.abc import Sequence

import numpy as np

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example
from gemtune.evaluation.comparing.pair import Pair
from gemtune.evaluation.comparing.resampling import sum_by_group
from gemtune.evaluation.comparing.statistics import Floats, bootstrap_scores, interval
from gemtune.evaluation.findings import LengthFinding
from gemtune.evaluation.side import Side
from gemtune.evaluation.test_set import accepted_answers


def length_finding(
    pair: Pair, base: Side, tuned: Side, examples: Sequence[Example], config: EvaluationConfig
) -> LengthFinding:
    """Compare the lengths of the answers, and what is left of the difference at equal length.

    Args:
        pair: One metric of one run.
        base: Its answers.
        tuned: Its answers.
        examples: The test set.
        config: Confidence, resamples and seed.
    """
    base_words, tuned_words = _words(base), _words(tuned)
    longer = tuned_words - base_words
    # Rows that have no score leave no line to draw.
    with np.errstate(invalid="ignore", divide="ignore"):
        gained = (pair.run_rows[0] - pair.base_rows)[:, 0]
        # What a line through the rows is made of adds up over rows, so it can be resampled.
        sums = np.stack([np.ones_like(longer), longer, longer**2, gained, longer * gained], axis=1)
        intercept = _intercept(sums.sum(axis=0))
        (drawn,) = bootstrap_scores(
            [sum_by_group(sums, pair.groups)],
            _intercept,
            n_resamples=config.bootstrap_samples,
            seed=config.seed,
        )
        low, high = interval(drawn, config.confidence)
    return LengthFinding(
        base_words=float(base_words.mean()),
        tuned_words=float(tuned_words.mean()),
        reference_words=float(np.mean([_reference_words(example) for example in examples])),
        difference_at_equal_length=_finite(float(intercept[0])),
        low=_finite(float(low[0])),
        high=_finite(float(high[0])),
    )


def _intercept(totals: Floats) -> Floats:
    """Least squares from the sums 1, x, xx, y, xy; shape (..., 5) to (..., 1)."""
    n, x, xx, y, xy = np.moveaxis(totals, -1, 0)
    return ((y * xx - x * xy) / (n * xx - x**2))[..., None]


def _words(side: Side) -> Floats:
    return np.array([float(len(prediction.text.split())) for prediction in side.predictions])


def _reference_words(example: Example) -> float:
    return float(np.mean([len(answer.split()) for answer in accepted_answers(example)]))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
