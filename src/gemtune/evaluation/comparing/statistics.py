"""How sure a difference between two models on the same rows is.

Sources: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentile
interval); Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation" (paired
resampling of a corpus score); Miller 2024, arXiv:2411.00640 (rows of one source stay together, and
which differences a test set can show).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats, draw_weights, generator_of

Statistic = Callable[[Floats], Floats]

MIN_GROUPS = 20
"""With fewer independent rows a bootstrap interval alone is no ground for a statement."""

_POWER = 0.8


@dataclass(frozen=True, slots=True)
class Outcomes:
    """On how many rows the tuned model is better, equal and worse.

    By a metric of which neither direction is better nobody wins or loses: None.
    """

    win: int | None
    tie: int
    loss: int | None


def bootstrap_scores(
    sides: Sequence[Floats], statistic: Statistic, *, n_resamples: int, seed: int
) -> list[Floats]:
    """Score every side on the same resampled test sets.

    All sides see the same resamples, so what makes a row hard for all of them cancels out.

    Args:
        sides: Sums of each group, shapes (groups, statistics).
        statistic: Turns sums of shape (resamples, statistics) into scores (resamples, metrics).
        n_resamples: How many test sets are drawn.
        seed: Seed of the PCG64 generator.

    Returns:
        Scores of each side, shapes (resamples, metrics).
    """
    generator = generator_of(seed)
    # Products of one shape: equal sides then differ by exactly nothing, rounding included.
    pieces = [
        [statistic(weights @ side) for side in sides]
        for weights in draw_weights(generator, len(sides[0]), n_resamples)
    ]
    return [np.concatenate(scores) for scores in zip(*pieces, strict=True)]


def interval(differences: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Ends that leave equal shares of the resamples outside; shape (resamples, n) to two (n,)."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail], axis=0)
    return low, high


def error_of_interval(low: Floats, high: Floats, confidence: float) -> Floats:
    """Standard error of a normal distribution with this interval; shapes (metrics,)."""
    return (high - low) / (2 * _z((1 + confidence) / 2))


def smallest_visible(standard_error: Floats, confidence: float) -> Floats:
    """Difference that a two-sided test finds with 80 % power.

    Args:
        standard_error: Of the difference, shape (metrics,).
        confidence: 1 - level of the test.
    """
    return (_z((1 + confidence) / 2) + _z(_POWER)) * standard_error


def count_outcomes(gains: Floats, *, is_neutral: bool = False) -> Outcomes:
    """Count rows that got better, stayed equal and got worse.

    Args:
        gains: How much better each row got, shape (rows,).
        is_neutral: Of the metric neither direction is better.
    """
    n_tied = int((gains == 0).sum())
    if is_neutral:
        return Outcomes(win=None, tie=n_tied, loss=None)
    return Outcomes(win=int((gains > 0).sum()), tie=n_tied, loss=int((gains < 0).sum()))


def can_show_evidence(n_groups: int, confidence: float) -> bool:
    """Say whether so few independent rows could convince a sign test if all pointed one way.

    The bootstrap interval of a handful of rows is far too narrow (of one row it is a point), so
    below this size it must not carry a verdict.
    """
    return 2 * 0.5**n_groups <= 1 - confidence


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)
