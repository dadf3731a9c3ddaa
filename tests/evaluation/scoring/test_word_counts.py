"""Length beside the references, and repetition."""

from collections.abc import Callable

import pytest

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, References
from gemtune.evaluation.scoring.word_counts import distinct_family, length_ratio_family


def score(make: Callable[[], Family], texts: list[str], references: References) -> float:
    family = make()
    predictions = [Prediction(str(index), text) for index, text in enumerate(texts)]
    return float(family.corpus(family.statistics(predictions, references).sum(axis=0))[0])


@pytest.mark.parametrize(
    ("texts", "references", "ratio"),
    [
        (["a b c d"], [["a b"]], 2.0),
        (["a b c", "a"], [["a b c d", "a"], ["a"]], 4 / 5),
        (["", "a b"], [["a b"], ["a b"]], 0.5),
        ([""], [[""]], 1.0),
    ],
)
def test_the_length_ratio_pools_words_and_takes_the_closest_reference(
    texts: list[str], references: References, ratio: float
) -> None:
    assert score(length_ratio_family, texts, references) == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("texts", "share"),
    [
        (["a b c d"], 1.0),
        (["a b a b a"], 2 / 4),
        (["a b c", "a b a b"], 4 / 5),
        (["", "word"], 1.0),
    ],
)
def test_distinct_2_falls_when_an_answer_repeats_itself(texts: list[str], share: float) -> None:
    assert score(distinct_family, texts, [["x"]] * len(texts)) == pytest.approx(share)
