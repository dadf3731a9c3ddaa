"""Several training runs: the spread of their scores widens the interval."""

import numpy as np
import pytest
from scored_sides import compare, make_examples

from gemtune.evaluation.comparing.pair import Pair
from gemtune.evaluation.comparing.seeds import several_runs
from gemtune.evaluation.scoring.family import Metric

ROWS = make_examples(200)


def test_one_run_is_noted_and_three_are_shown() -> None:
    one = compare(ROWS, range(50), range(80))
    three = compare(ROWS, range(50), range(80), range(84), range(76))

    assert one.seeds is None
    assert "one training run: what another seed would give is not covered" in one.notes
    assert three.seeds is not None
    assert three.seeds.names == ("knows 0 to 80", "knows 0 to 84", "knows 0 to 76")
    assert three.seeds.scores == pytest.approx((0.4, 0.42, 0.38))
    assert three.seeds.standard_deviation == pytest.approx(0.02)
    assert not any(note.startswith("one training run") for note in three.notes)
    assert {metric.test for metric in three.metrics} == {"two-level bootstrap"}


def test_the_difference_is_that_of_the_mean_run() -> None:
    found = compare(ROWS, range(50), range(80), range(90), range(70))

    assert found.primary.tuned == pytest.approx(0.4)
    assert found.primary.difference == pytest.approx(0.15)
    assert found.tuned_metrics["rougeL"] == pytest.approx(0.4)
    assert (found.primary.rows.win, found.primary.rows.loss) == (40, 0)


def test_runs_that_differ_by_more_than_their_gain_are_no_evidence() -> None:
    alike = compare(ROWS, range(50), range(70), range(70), range(70))
    apart = compare(ROWS, range(50), range(100), range(40), range(70))

    assert alike.verdict == "improved"
    assert apart.verdict == "no evidence"
    assert apart.primary.difference == alike.primary.difference
    assert apart.primary.p > 0.05 > alike.primary.p
    assert alike.primary.smallest_visible is not None
    assert apart.primary.smallest_visible is not None
    assert apart.primary.smallest_visible > 2 * alike.primary.smallest_visible


def test_the_spread_of_the_runs_comes_in_by_students_t() -> None:
    rows_are_sure = [np.zeros((100_000, 1))] * 3
    scores = [np.array([score]) for score in (-1.0, 0.0, 1.0)]

    drawn = several_runs(rows_are_sure, scores, seed=1)

    # 97.5 % of t with 2 degrees of freedom, times 1 / sqrt(3).
    assert np.quantile(drawn, 0.975) == pytest.approx(4.3027 / np.sqrt(3), rel=0.03)


def test_the_smallest_visible_difference_of_two_runs_fits_their_interval() -> None:
    found = compare(ROWS, range(50), range(60), range(70)).primary

    # Student's t of two runs has no standard deviation that could be taken.
    half_width = (found.high - found.low) / 2
    assert found.smallest_visible == pytest.approx(half_width * 2.80159 / 1.95996, rel=1e-4)


def test_rows_on_which_all_runs_equal_the_base_are_ties() -> None:
    # The mean of three times 0.1 is not 0.1 in floating point.
    rows, sums = np.full((4, 1), 0.1), np.ones((4, 2))
    pair = Pair((Metric("m"),), sums, (sums,) * 3, rows, (rows,) * 3, range(4), lambda t: t)

    assert np.mean([0.1, 0.1, 0.1]) != 0.1
    assert (pair.gains == 0).all()


def test_slices_and_examples_are_those_of_the_first_run() -> None:
    rows = make_examples(200, slice=["first half"] * 100 + ["second half"] * 100)

    found = compare(rows, range(50), range(100), range(200))

    assert found.primary.tuned == pytest.approx(0.75)
    slices = {part.value: part.tuned for part in found.slices}
    assert slices == pytest.approx({"first half": 1.0, "second half": 0.0})
    assert found.wins == tuple(map(str, range(50, 70)))
    assert any("are those of the first run, knows 0 to 100" in note for note in found.notes)


@pytest.mark.parametrize("n_runs", [2, 3, 5])
@pytest.mark.parametrize("seed_noise", [0.0, 0.3])
def test_intervals_over_seeds_hold_the_truth_at_least_as_often_as_they_say(
    n_runs: int, seed_noise: float
) -> None:
    generator, n_held, n_draws, n_rows = np.random.default_rng(1), 0, 300, 100
    for draw in range(n_draws):
        seeds, hardness = generator.normal(0, seed_noise, n_runs), generator.normal(size=n_rows)
        runs = seeds[:, None] + hardness + generator.normal(size=(n_runs, n_rows))
        weights = generator.multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=400) / n_rows
        drawn = several_runs(
            [(weights @ run)[:, None] for run in runs],
            [np.array([run.mean()]) for run in runs],
            seed=draw,
        )
        low, high = np.quantile(drawn, [0.025, 0.975])
        n_held += low <= 0 <= high

    # Two standard errors below 95 %.
    assert n_held >= 0.925 * n_draws
