"""How often chance alone makes a difference as large as the one found; all tests are two-sided.

Sources: Noreen 1989, "Computer-Intensive Methods for Testing Hypotheses" (approximate
randomization and its + 1 rule); McNemar 1947, "Note on the sampling error of the difference
between correlated proportions", in its exact form.
"""

from collections.abc import Callable

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats, draw_exchanges, generator_of

# Sums in another order differ in their last digits; real differences are far apart from that.
_ROUNDING = 1e-10


def approximate_randomization(
    base: Floats,
    tuned: Floats,
    statistic: Callable[[Floats], Floats],
    *,
    n_resamples: int,
    seed: int,
) -> Floats:
    """Probability of so large a difference if it did not matter which model gave which answer.

    Args:
        base: Sums of each group, shape (groups, statistics); groups exchange sides as a whole.
        tuned: The same of the other side.
        statistic: Turns sums of shape (..., statistics) into scores (..., metrics).
        n_resamples: How often sides are exchanged at random.
        seed: Seed of the PCG64 generator.

    Returns:
        Shape (metrics,), at least 1 / (n_resamples + 1); 1 where a score is not a number.
    """
    of_base, of_both = base.sum(axis=0), base.sum(axis=0) + tuned.sum(axis=0)
    base_score, tuned_score = statistic(of_base), statistic(of_both - of_base)
    rounding = _ROUNDING * np.maximum(np.abs(base_score), np.abs(tuned_score))
    found = np.abs(tuned_score - base_score) - rounding
    gain = tuned - base
    n_smaller = np.zeros_like(found)
    for exchanged in draw_exchanges(generator_of(seed), len(base), n_resamples):
        first = of_base + exchanged @ gain
        differences = np.abs(statistic(of_both - first) - statistic(first))
        # Counting the smaller ones takes whatever is not a number as chance.
        n_smaller += (differences < found).sum(axis=0)
    return (n_resamples - n_smaller + 1) / (n_resamples + 1)


def mcnemar_exact(n_wins: int, n_losses: int) -> float:
    """Probability of so uneven a split of the rows on which two models differ, each by a coin."""
    n_differing = n_wins + n_losses
    ways = n_tail = 1
    for n_drawn in range(min(n_wins, n_losses)):
        ways = ways * (n_differing - n_drawn) // (n_drawn + 1)
        n_tail += ways
    return min(1.0, 2 * n_tail / 2**n_differing)


def two_sided_share(differences: Floats) -> Floats:
    """Probability that belongs to a bootstrap interval; shape (resamples, metrics) to (metrics,).

    It falls below 1 - confidence where the interval of that confidence leaves 0 out.
    """
    n_resamples = len(differences)
    # What is not a number counts against the difference on both sides.
    n_above, n_below = (~(differences < 0)).sum(axis=0), (~(differences > 0)).sum(axis=0)
    return np.minimum(1.0, 2 * (np.minimum(n_above, n_below) + 1) / (n_resamples + 1))
