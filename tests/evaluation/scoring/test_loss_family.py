"""Loss and perplexity on the references."""

import math

import numpy as np
import pytest

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.loss import loss_family


def test_loss_pools_tokens_and_perplexity_is_its_exponential() -> None:
    family = loss_family()
    predictions = [
        Prediction("1", "", reference_loss=6.0, n_reference_tokens=2),
        Prediction("2", "", reference_loss=2.0, n_reference_tokens=6),
    ]

    statistics = family.statistics(predictions, [["a"], ["b"]])

    np.testing.assert_allclose(family.corpus(statistics.sum(axis=0)), [1.0, math.e])
    np.testing.assert_allclose(family.rows(statistics)[:, 0], [3.0, 1 / 3])


def test_lower_is_better() -> None:
    assert [metric.higher_is_better for metric in loss_family().metrics] == [False, False]


def test_a_row_without_a_loss_does_not_count() -> None:
    family = loss_family()
    known = Prediction("1", "", reference_loss=6.0, n_reference_tokens=2)

    totals = family.statistics([known, Prediction("2", "")], [["a"], ["b"]]).sum(axis=0)

    assert family.corpus(totals)[0] == 3.0


def test_no_loss_at_all_is_no_number_and_no_crash() -> None:
    family = loss_family()

    totals = family.statistics([Prediction("1", "")], [["a"]]).sum(axis=0)

    assert np.isnan(family.corpus(totals)).all()


def test_a_hopeless_model_has_a_finite_perplexity() -> None:
    family = loss_family()
    hopeless = Prediction("1", "", reference_loss=9000.0, n_reference_tokens=2)

    scores = family.rows(family.statistics([hopeless], [["a"]]))

    assert scores[0, 0] == pytest.approx(4500)
    assert np.isfinite(scores).all()
