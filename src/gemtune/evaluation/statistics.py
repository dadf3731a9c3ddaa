"""How sure a difference between two models on the same rows is.

Sources: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentile
interval); Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation" (paired
resampling of a corpus score); Miller 2024, arXiv:2411.00640 (rows of one source stay together).
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

_MAX_CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Outcomes:
    """On how many rows the tuned model is better, equal and worse."""

    win: int
    tie: int
    loss: int


def paired_bootstrap(
    base: Floats,
    tuned: Floats,
    statistic: Statistic,
    *,
    groups: Sequence[Hashable],
    n_resamples: int,
    confidence: float,
    seed: int,
) -> tuple[Floats, Floats]:
    """Percentile interval of `statistic(tuned) - statistic(base)` over resampled test sets.

    Both sides see the same resamples, so what makes a row hard for both cancels out.

    Args:
        base: Shape (rows, statistics), numbers of each row that add up over rows.
        tuned: The same of the other side, rows in the same order.
        statistic: Turns sums of shape (resamples, statistics) into scores (resamples, metrics).
        groups: One key a row; rows of one key are drawn together.
        n_resamples: How many test sets are drawn.
        confidence: Share of resamples inside the interval, for instance 0.95.
        seed: Seed of the PCG64 generator; same seed and data give the same interval.

    Returns:
        Lower and upper ends, each of shape (metrics,).
    """
    base, tuned = _sum_by_group(base, groups), _sum_by_group(tuned, groups)
    generator = np.random.Generator(np.random.PCG64(seed))
    differences = []
    for n_drawn in _chunk_sizes(n_resamples, len(base)):
        weights = _draw_weights(generator, len(base), n_drawn)
        # Two products of one shape: equal sides then differ by exactly nothing, rounding included.
        differences.append(statistic(weights @ tuned) - statistic(weights @ base))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(differences), [tail, 1 - tail], axis=0)
    return low, high


def count_outcomes(base: Floats, tuned: Floats) -> Outcomes:
    """Count rows that got better, stayed equal and got worse; shapes (rows,)."""
    return Outcomes(
        win=int((tuned > base).sum()),
        tie=int((tuned == base).sum()),
        loss=int((tuned < base).sum()),
    )


def can_show_evidence(n_groups: int, confidence: float) -> bool:
    """Say whether so few independent rows could convince a sign test if all pointed one way.

    The bootstrap interval of a handful of rows is far too narrow (of one row it is a point), so
    below this size it must not carry a verdict.
    """
    return 2 * 0.5**n_groups <= 1 - confidence


def _sum_by_group(statistics: Floats, groups: Sequence[Hashable]) -> Floats:
    index: dict[Hashable, int] = {}
    members = [index.setdefault(group, len(index)) for group in groups]
    sums = np.zeros((len(index), statistics.shape[1]))
    np.add.at(sums, members, statistics)
    return sums


def _chunk_sizes(n_resamples: int, n_groups: int) -> list[int]:
    chunk = max(1, _MAX_CHUNK_BYTES // (8 * n_groups))
    full, rest = divmod(n_resamples, chunk)
    return [chunk] * full + [rest] * (rest > 0)


def _draw_weights(generator: np.random.Generator, n_groups: int, n_drawn: int) -> Floats:
    shares = np.full(n_groups, 1 / n_groups)
    return generator.multinomial(n_groups, shares, size=n_drawn).astype(np.float64)
