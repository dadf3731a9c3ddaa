"""Rounding that never turns a figure into another statement."""

import pytest

from gemtune.evaluation.digits import shown, shown_difference, shown_interval, shown_p


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.1204, 0.1816, "+0.120 to +0.182"),
        (0.0002, 0.1816, "+0.0002 to +0.1816"),
        (-0.00004, 0.1816, "-0.00004 to +0.18160"),
        (0.0, 0.0079, "0.000 to +0.008"),
        (-0.0, 0.0, "0.000 to 0.000"),
        (float("nan"), float("nan"), "n/a to n/a"),
    ],
)
def test_only_0_looks_like_0(low: float, high: float, text: str) -> None:
    assert shown_interval(low, high, 3) == text


def test_a_difference_has_a_sign_and_enough_digits() -> None:
    assert shown_difference(0.1514, 3) == "+0.151"
    assert shown_difference(-0.0004, 3) == "-0.0004"
    assert shown_difference(float("inf"), 3) == "n/a"
    assert shown(66.162, 2) == "66.16"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.3812, "0.3812"),
        (1.0, "1.0000"),
        (0.00009999, "<0.0001"),
        (1e-30, "<0.0001"),
        (0.049996, "0.049996"),
        (0.05003, "0.05003"),
        (0.05, "0.0500"),
    ],
)
def test_a_probability_stays_on_its_side_of_the_level(p: float, text: str) -> None:
    assert shown_p(p, 0.05) == text


def test_what_rounding_left_of_nothing_is_nothing() -> None:
    assert shown_difference(-5.6e-17, 3) == "0.000"
    assert shown_interval(-0.25, 5.6e-17, 3) == "-0.250 to 0.000"
