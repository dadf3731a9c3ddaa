"""When trials are compared, and which go on."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemtune.hyperparameter.rungs import has_diverged, rung_fractions, survivors


def test_rungs_of_a_long_trial_are_a_ninth_a_third_and_all() -> None:
    assert rung_fractions(3, n_steps=1000, n_warmup=30) == pytest.approx((1 / 9, 1 / 3, 1))


@pytest.mark.parametrize(
    ("n_steps", "n_warmup", "first"), [(150, 8, 30 / 150), (1000, 100, 0.2), (40, 2, 1 / 3)]
)
def test_the_first_rung_of_a_short_trial_comes_later_but_not_after_a_third(
    n_steps: int, n_warmup: int, first: float
) -> None:
    assert rung_fractions(3, n_steps, n_warmup) == pytest.approx((first, math.sqrt(first), 1))


def test_a_third_goes_on_rounded_up_and_one_more_at_the_first_rung() -> None:
    losses = {number: float(number) for number in range(9)}
    assert survivors(losses, [], eta=3, rung=0) == {0, 1, 2, 3}
    assert survivors({0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}, [], eta=3, rung=1) == {0, 1}


def test_a_group_that_is_worse_than_earlier_ones_sends_nobody_on() -> None:
    losses = {number: 10.0 + number for number in range(9, 18)}
    assert survivors(losses, [1.0] * 9, eta=3, rung=0) == set()
    assert survivors(losses, [30.0] * 9, eta=3, rung=0) == {9, 10, 11, 12}


def test_the_last_trial_of_a_study_goes_on_alone() -> None:
    assert survivors({0: 1.0}, [], eta=3, rung=0) == {0}


def test_equal_losses_are_ranked_by_number() -> None:
    assert survivors(dict.fromkeys(range(9), 1.0), [], eta=3, rung=1) == {0, 1, 2}


@given(st.dictionaries(st.integers(0, 99), st.floats(0, 10), min_size=1), st.integers(2, 5))
def test_nobody_goes_on_who_is_worse_than_one_who_does_not(
    losses: dict[int, float], eta: int
) -> None:
    kept = survivors(losses, [], eta, rung=1)
    assert len(kept) == math.ceil(len(losses) / eta)
    pruned = losses.keys() - kept
    assert all(losses[k] <= losses[p] for k in kept for p in pruned)


@pytest.mark.parametrize(("loss", "is_worse"), [(2.4, False), (2.6, True), (math.nan, True)])
def test_a_loss_well_above_that_of_the_untrained_model_is_divergence(
    loss: float, is_worse: bool
) -> None:
    assert has_diverged(loss, start_loss=2.0) is is_worse
