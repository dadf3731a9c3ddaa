"""Intervals of paired differences: known cases, coverage, grouping, repeatability."""

import tracemalloc
from collections.abc import Hashable, Sequence

import numpy as np
import pytest

from gemtune.evaluation.comparing.resampling import (
    draw_exchanges,
    draw_weights,
    generator_of,
    sum_by_group,
)
from gemtune.evaluation.comparing.statistics import (
    Floats,
    Outcomes,
    bootstrap_scores,
    can_show_evidence,
    count_outcomes,
    error_of_interval,
    smallest_visible,
)
from gemtune.evaluation.comparing.statistics import interval as percentile_interval


def mean(totals: Floats) -> Floats:
    return totals[:, :1] / totals[:, 1:2]


def with_count(scores: Floats) -> Floats:
    return np.stack([scores, np.ones_like(scores)], axis=1)


def interval(
    base: Floats,
    tuned: Floats,
    *,
    groups: Sequence[Hashable] | None = None,
    n_resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 7,
) -> tuple[float, float]:
    sides = [sum_by_group(with_count(side), groups or range(len(side))) for side in (base, tuned)]
    of_base, of_tuned = bootstrap_scores(sides, mean, n_resamples=n_resamples, seed=seed)
    low, high = percentile_interval(of_tuned - of_base, confidence)
    return float(low[0]), float(high[0])


def noise(seed: int, size: int) -> Floats:
    return np.random.default_rng(seed).normal(size=size)


def test_the_interval_is_that_of_the_normal_approximation_on_many_rows() -> None:
    base = noise(0, 2000)
    tuned = base + 0.1 + 0.5 * noise(1, 2000)

    low, high = interval(base, tuned)

    difference = tuned - base
    half_width = 1.96 * difference.std(ddof=1) / np.sqrt(len(base))
    assert low == pytest.approx(difference.mean() - half_width, abs=0.1 * half_width)
    assert high == pytest.approx(difference.mean() + half_width, abs=0.1 * half_width)


def test_pairing_cancels_what_makes_a_row_hard_for_both() -> None:
    base = 10 * noise(0, 300)

    low, high = interval(base, base + 0.5)

    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for trial in range(200):
        base = noise(trial, 60)
        low, high = interval(base, base + 0.3 + noise(10_000 + trial, 60), n_resamples=400)
        covered += low <= 0.3 <= high

    # 0.95 of 200 with three standard errors of a count on each side, and the small-sample deficit.
    assert 178 <= covered <= 199


def test_swapping_the_sides_mirrors_the_interval() -> None:
    base, tuned = noise(0, 80), noise(1, 80) + 0.2

    low, high = interval(base, tuned)

    assert interval(tuned, base) == pytest.approx((-high, -low))


@pytest.mark.parametrize("n_rows", [7, 64, 333, 1001])
def test_equal_sides_differ_by_exactly_nothing(n_rows: int) -> None:
    base = noise(n_rows, n_rows)

    assert interval(base, base.copy()) == (0.0, 0.0)


def test_a_higher_confidence_gives_a_wider_interval() -> None:
    base, tuned = noise(0, 80), noise(1, 80)

    narrow, wide = interval(base, tuned, confidence=0.8), interval(base, tuned, confidence=0.99)

    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_same_seed_same_interval_and_another_seed_another() -> None:
    base, tuned = noise(0, 50), noise(1, 50)

    assert interval(base, tuned) == interval(base, tuned)
    assert interval(base, tuned) != interval(base, tuned, seed=8)


def test_rows_of_one_group_are_drawn_together() -> None:
    sources_base, sources_tuned = noise(0, 40), noise(1, 40) + 0.2
    groups = [f"document {i}" for i in range(40)] * 25
    base, tuned = np.tile(sources_base, 25), np.tile(sources_tuned, 25)

    # 25 copies of a row carry no more information than the row.
    assert interval(base, tuned, groups=groups) == pytest.approx(
        interval(sources_base, sources_tuned)
    )
    grouped, single = interval(base, tuned, groups=groups), interval(base, tuned)
    assert grouped[1] - grouped[0] > 4 * (single[1] - single[0])


def test_chunks_keep_memory_small_and_draw_every_resample() -> None:
    n_rows, n_resamples = 5000, 3000
    base, tuned = noise(0, n_rows), noise(1, n_rows)
    seen = []

    def counting_mean(totals: Floats) -> Floats:
        seen.append(len(totals))
        return mean(totals)

    tracemalloc.start()
    bootstrap_scores(
        [with_count(base), with_count(tuned)], counting_mean, n_resamples=n_resamples, seed=0
    )
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert sum(seen) == 2 * n_resamples
    assert len(seen) > 2
    assert peak_bytes < 64 * 2**20  # all weights at once: 120 MB


def test_outcomes_count_better_equal_and_worse_rows() -> None:
    assert count_outcomes(np.array([0.1, 0.0, -1.0, 0.7])) == Outcomes(win=2, tie=1, loss=1)


@pytest.mark.parametrize(
    ("n_groups", "confidence", "possible"),
    [(1, 0.95, False), (5, 0.95, False), (6, 0.95, True), (6, 0.99, False), (8, 0.99, True)],
)
def test_a_handful_of_rows_can_never_be_evidence(
    n_groups: int, confidence: float, possible: bool
) -> None:
    assert can_show_evidence(n_groups, confidence) is possible


def test_the_smallest_visible_difference_is_that_of_the_normal_distribution() -> None:
    # Lehr's rule: 2.8 standard errors.
    assert smallest_visible(np.array([1.0]), 0.95)[0] == pytest.approx(2.80159, abs=1e-5)


def test_an_interval_has_the_error_that_made_it() -> None:
    low, high = np.array([-1.959964]), np.array([1.959964])

    assert error_of_interval(low, high, 0.95)[0] == pytest.approx(1.0)


def test_resampled_test_sets_have_as_many_groups_as_the_real_one() -> None:
    pieces = list(draw_weights(generator_of(1), 3000, 2000))

    weights = np.concatenate(pieces)
    assert len(pieces) > 1
    assert weights.shape == (2000, 3000)
    assert (weights.sum(axis=1) == 3000).all()
    assert weights.var() == pytest.approx(1.0, abs=0.01)
    assert weights.mean(axis=0).std() == pytest.approx(1 / np.sqrt(2000), rel=0.05)


def test_half_of_the_groups_change_sides_in_a_random_exchange() -> None:
    exchanged = np.concatenate(list(draw_exchanges(generator_of(1), 3001, 2000)))

    assert exchanged.shape == (2000, 3001)
    assert set(np.unique(exchanged)) == {0.0, 1.0}
    assert exchanged.mean() == pytest.approx(0.5, abs=0.001)
    assert exchanged.mean(axis=0).std() == pytest.approx(0.5 / np.sqrt(2000), rel=0.05)


def test_rows_of_a_group_are_added_up() -> None:
    rows = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])

    assert sum_by_group(rows, ["b", "a", "b", 3]).tolist() == [[5, 50], [2, 20], [8, 80]]
