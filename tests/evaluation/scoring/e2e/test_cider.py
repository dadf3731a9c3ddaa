"""CIDEr by hand, and what stays fixed when rows are drawn."""

import math

import pytest

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.e2e.cider import cider_family

REFERENCES = [["a pub near here"], ["a bar by the sea"]]


def rows(*texts: str) -> list[float]:
    family = cider_family(REFERENCES)
    predictions = [Prediction(str(index), text) for index, text in enumerate(texts)]
    return family.rows(family.statistics(predictions, REFERENCES[: len(texts)]))[:, 0].tolist()


def test_a_reference_itself_scores_ten() -> None:
    assert rows("A pub, near here!", "A bar by the sea.") == pytest.approx([10, 10])


def test_words_of_all_rows_carry_no_weight() -> None:
    assert rows("a") == [0.0]


def test_a_shorter_answer_pays_for_the_length_in_pairs_of_words() -> None:
    # Of the unigrams "a" has no weight, the other three weigh log 2 each; one pair is left.
    cosines = [1 / math.sqrt(3), 1 / math.sqrt(3), 0, 0]
    penalty = math.exp(-((1 - 3) ** 2) / (2 * 6**2))

    assert rows("a pub") == pytest.approx([10 * penalty * sum(cosines) / 4])


def test_repeating_a_word_gains_nothing() -> None:
    # Twice the weight in the answer matches once, but makes the answer's vector twice as long.
    penalty = math.exp(-((1 - 3) ** 2) / (2 * 6**2))

    assert rows("pub pub") == pytest.approx([10 * penalty * (1 / (2 * math.sqrt(3))) / 4])
