"""COCO's ROUGE-L."""

import random
from collections.abc import Sequence

import pytest

from gemtune.evaluation.scoring.e2e.rouge import coco_rouge, longest_common_subsequence


def slow_length(first: Sequence[str], second: Sequence[str]) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        above, row = row, [0]
        for column, other in enumerate(second):
            best = above[column] + 1 if word == other else max(above[column + 1], row[-1])
            row.append(best)
    return row[-1]


@pytest.mark.parametrize("seed", range(20))
def test_the_common_subsequence_is_as_long_as_that_of_the_textbook(seed: int) -> None:
    draw = random.Random(seed)
    first, second = (draw.choices(list("abcd"), k=draw.randint(0, 90)) for _ in range(2))

    assert longest_common_subsequence(first, second) == slow_length(first, second)


def test_best_precision_and_best_recall_may_come_from_different_references() -> None:
    # Against the first: P 2/4, R 2/2. Against the second: P 3/4, R 3/6.
    found = coco_rouge("a b c d", ["a b", "a x b y d z"])

    precision, recall, beta = 3 / 4, 1.0, 1.2
    assert found == pytest.approx(
        (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    )


def test_punctuation_and_case_do_not_count() -> None:
    assert coco_rouge("The Mill, a pub.", ["the mill a pub"]) == pytest.approx(1.0)


@pytest.mark.parametrize("prediction", ["", "...", "else"])
def test_nothing_in_common_scores_nothing(prediction: str) -> None:
    assert coco_rouge(prediction, ["the mill"]) == 0.0
