"""Tokens and examples a second."""

import pytest

from gemtune.monitoring.rates import RateMeter


def test_rates_are_totals_over_total_time_not_a_mean_of_rates() -> None:
    meter = RateMeter()
    meter.add(100, 4, seconds=1.0)
    meter.add(500, 4, seconds=3.0)
    assert meter.tokens_per_second == pytest.approx(150.0)
    assert meter.examples_per_second == pytest.approx(2.0)


def test_steps_that_left_the_window_no_longer_count() -> None:
    meter = RateMeter(window_steps=2)
    meter.add(1, 1, seconds=1000.0)
    meter.add(10, 2, seconds=1.0)
    meter.add(30, 2, seconds=1.0)
    assert meter.tokens_per_second == pytest.approx(20.0)
    assert meter.examples_per_second == pytest.approx(2.0)
