"""Exact match folds white space and nothing else."""

import pytest

from gemtune.evaluation.scoring.exact_match import exact_match


@pytest.mark.parametrize(
    ("prediction", "matches"),
    [
        ("Reset  the\n router ", 1.0),
        ("reset the router", 0.0),
        ("Reset the router.", 0.0),
        ("Restart", 1.0),
        ("", 0.0),
    ],
)
def test_exact_match_folds_white_space_and_keeps_case(prediction: str, matches: float) -> None:
    assert exact_match(prediction, ["Reset the router", "Restart"]) == matches
