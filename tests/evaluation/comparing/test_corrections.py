"""Probabilities corrected for many tests: worked cases and the orders that must hold."""

from collections.abc import Callable

import numpy as np
import pytest

from gemtune.evaluation.comparing.corrections import benjamini_hochberg, holm

Correct = Callable[[list[float]], list[float]]


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]


def test_benjamini_hochberg_of_its_authors_example() -> None:
    # Benjamini and Hochberg 1995, section 3.2: four of fifteen hold at a level of 5 %.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262]
    p += [0.5719, 0.6528, 0.7590, 1.0000]

    corrected = benjamini_hochberg(p)

    assert sum(value <= 0.05 for value in corrected) == 4
    assert sum(value <= 0.05 for value in holm(p)) == 3
    assert corrected[3] == pytest.approx(0.0095 * 15 / 4)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_corrected_probabilities_keep_their_ranks_and_only_grow(correct: Correct) -> None:
    p = np.random.default_rng(0).random(40)

    corrected = np.array(correct(p.tolist()))

    assert (corrected >= p).all()
    assert corrected.max() <= 1.0
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_a_single_test_needs_no_correction(correct: Correct) -> None:
    assert correct([0.03]) == [0.03]
    assert correct([]) == []
