"""Differences that are nothing but a difference in length."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scored_sides import CONFIG, make_examples, make_side, scorer_for

from gemtune.evaluation.comparing.length import length_finding
from gemtune.evaluation.comparing.pair import Pair
from gemtune.evaluation.findings import LengthFinding
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Metric
from gemtune.evaluation.side import Side

N_ROWS = 100
NO_STATISTICS = np.zeros((N_ROWS, 0))


def finding(
    tuned_lengths: ArrayLike, differences: ArrayLike, base_length: int = 10
) -> LengthFinding:
    rows = make_examples(N_ROWS)
    base, tuned = (
        Side(
            "side",
            [Prediction(row.id, "w " * n) for row, n in zip(rows, lengths, strict=True)],
            NO_STATISTICS,
            None,
        )
        for lengths in ([base_length] * N_ROWS, np.asarray(tuned_lengths).tolist())
    )
    scores = np.array(differences, dtype=float)[:, None]
    pair = Pair(
        (Metric("score"),),
        NO_STATISTICS,
        (NO_STATISTICS,),
        np.zeros((N_ROWS, 1)),
        (scores,),
        range(N_ROWS),
        lambda totals: totals,
    )
    return length_finding(pair, base, tuned, rows, CONFIG)


def test_a_gain_that_grows_with_the_length_is_nothing_at_equal_length() -> None:
    longer = np.random.default_rng(0).integers(0, 11, N_ROWS)
    noise = np.random.default_rng(1).normal(0, 0.01, N_ROWS)

    found = finding(10 + longer, 0.02 * longer + noise)

    assert found.base_words == 10
    assert found.tuned_words == pytest.approx(10 + longer.mean())
    assert found.difference_at_equal_length == pytest.approx(0, abs=0.005)
    assert found.low is not None and found.high is not None
    assert found.low < 0 < found.high


def test_a_gain_beside_the_length_stays() -> None:
    longer = np.random.default_rng(0).integers(-5, 6, N_ROWS)
    noise = np.random.default_rng(1).normal(0, 0.01, N_ROWS)

    found = finding(10 + longer, 0.3 + 0.02 * longer + noise)

    assert found.difference_at_equal_length == pytest.approx(0.3, abs=0.005)
    assert found.low is not None and found.high is not None
    assert 0.28 < found.low < found.high < 0.32


def test_where_all_rows_grow_alike_no_line_can_be_drawn() -> None:
    found = finding([12] * N_ROWS, [0.1] * N_ROWS)

    assert (found.difference_at_equal_length, found.low, found.high) == (None, None, None)


def test_words_of_the_references_are_their_mean() -> None:
    rows = make_examples(10)
    side = make_side(rows, range(10), scorer=scorer_for("rougeL"))

    assert [len(found.text.split()) for found in side.predictions] == [4] * 10
    assert finding([12] * N_ROWS, [0.1] * N_ROWS).reference_words == 4
