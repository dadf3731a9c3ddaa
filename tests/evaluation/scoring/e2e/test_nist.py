"""NIST by hand on a small test set, and what stays fixed when rows are drawn."""

import math

import pytest

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.e2e.nist import nist_family
from gemtune.evaluation.scoring.family import References

REFERENCES = [["a cheap pub", "a pub"], ["the pub"]]


def nist(texts: list[str], references: References = REFERENCES) -> float:
    family = nist_family(REFERENCES)
    predictions = [Prediction(str(index), text) for index, text in enumerate(texts)]
    return float(family.corpus(family.statistics(predictions, references).sum(axis=0))[0])


def brevity(n_words: int, n_wanted: float) -> float:
    return 0.5 ** (math.log(n_words / n_wanted) / math.log(1.5)) ** 2


def test_rare_words_count_more() -> None:
    # Seven words: "pub" stands 3 times, "a" twice, "cheap" and "the" once.
    unigrams = [math.log2(7 / 2), math.log2(7 / 3), math.log2(7), math.log2(7 / 3)]
    bigrams = [math.log2(2 / 1), math.log2(1 / 1)]

    found = nist(["A pub", "the pub"])

    # Four words where references have four and a half in the mean.
    assert found == pytest.approx(brevity(4, 4.5) * (sum(unigrams) / 4 + sum(bigrams) / 2))


def test_a_short_answer_pays_for_brevity() -> None:
    short = nist(["a pub", ""])

    # The information of "a pub", over two words and one pair.
    information = (math.log2(7 / 2) + math.log2(7 / 3)) / 2 + math.log2(2 / 1) / 1
    assert short == pytest.approx(brevity(2, 4.5) * information)


def test_ngrams_that_the_family_has_never_seen_carry_no_information() -> None:
    assert nist(["zebra", "zebra"], [["zebra"], ["zebra"]]) == 0.0


def test_an_empty_system_scores_nothing() -> None:
    assert nist(["", ""]) == 0.0
