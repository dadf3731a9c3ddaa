"""How long answers are beside their references, and how much they repeat themselves."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, References
from gemtune.evaluation.scoring.ngrams import n_words_of_closest


def length_ratio_family() -> Family:
    """Words of the answers over words of the references that are nearest in length."""
    return Family(
        "length_ratio",
        (Metric("length_ratio", is_neutral=True),),
        n_statistics=2,
        statistics=_lengths,
        corpus=_ratio,
        rows=_ratio,
        signature=lambda references: "words between white space|closest reference|1 is equal",
    )


def distinct_family() -> Family:
    """Share of pairs of words that do not repeat an earlier pair of the same answer."""
    return Family(
        "distinct",
        (Metric("distinct_2", is_neutral=True),),
        n_statistics=2,
        statistics=_distinct_pairs,
        corpus=_ratio,
        rows=_ratio,
        signature=lambda references: (
            "words between white space|case kept|within each answer|all pairs pooled|0..1"
        ),
    )


def _lengths(predictions: Sequence[Prediction], references: References) -> Floats:
    found = np.empty((len(predictions), 2))
    for row, prediction, accepted in zip(found, predictions, references, strict=True):
        n_words = len(prediction.text.split())
        row[:] = n_words, n_words_of_closest(n_words, [text.split() for text in accepted])
    return found


def _distinct_pairs(predictions: Sequence[Prediction], references: References) -> Floats:
    found = np.empty((len(predictions), 2))
    for row, prediction in zip(found, predictions, strict=True):
        pairs = list(pairwise(prediction.text.split()))
        row[:] = len(set(pairs)), len(pairs)
    return found


def _ratio(totals: Floats) -> Floats:
    # Nothing over nothing is a ratio of one: no words where none are wanted, no pair to repeat.
    above, below = totals[..., :1], totals[..., 1:]
    return np.where((above == 0) & (below == 0), 1.0, above / np.maximum(below, 1))
