"""Corpus chrF2 as a function of sums over rows, equal to sacreBLEU to rounding error.

Source: Popovic 2015, "chrF: character n-gram F-score for automatic MT evaluation".
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics.chrf import CHRF

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.bleu import streams_for_signature
from gemtune.evaluation.scoring.family import Family, Metric, References

MAX_ORDER = 6
BETA = 2
N_CHRF_STATISTICS = 3 * MAX_ORDER

NgramCounts = list[Counter[str]]
"""Counts of the n-grams of characters of order 1, 2, ..."""


def chrf_family() -> Family:
    """Corpus chrF2: each row counts against the reference that it is nearest to."""
    return Family(
        "chrf",
        (Metric("chrf", best=100.0),),
        n_statistics=N_CHRF_STATISTICS,
        statistics=_statistics,
        corpus=lambda totals: chrf_from_statistics(totals)[..., None],
        rows=lambda rows: chrf_from_statistics(rows)[..., None],
        signature=_signature,
    )


def chrf_statistics(prediction: str, references: Sequence[str]) -> Floats:
    """Count what corpus chrF needs of a row.

    Returns:
        Shape (18,): for each order 1 to 6 the n-grams of the prediction, of the reference with the
        best chrF (the first of equals), and those in both. Rows add up.
    """
    guessed = _count_characters(prediction)
    found = np.array([_compare(guessed, _count_characters(text)) for text in references])
    return found[np.argmax(chrf_from_statistics(found)) if len(found) > 1 else 0]


def chrf_from_statistics(totals: Floats) -> Floats:
    """Turn summed counts, shape (..., 18), into chrF2 from 0 to 100, shape (...)."""
    shape = (*totals.shape[:-1], MAX_ORDER, 3)
    guessed, wanted, matched = np.moveaxis(totals.reshape(shape), -1, 0)
    has_both = (guessed > 0) & (wanted > 0)
    n_orders = np.maximum(has_both.sum(axis=-1), 1)
    precision = (has_both * matched / np.maximum(guessed, 1)).sum(axis=-1) / n_orders
    recall = (has_both * matched / np.maximum(wanted, 1)).sum(axis=-1) / n_orders
    weighted = BETA**2 * precision + recall
    both = (1 + BETA**2) * precision * recall
    return 100 * np.divide(both, weighted, out=np.zeros_like(both), where=weighted > 0)


def _statistics(predictions: Sequence[Prediction], references: References) -> Floats:
    found = np.empty((len(predictions), N_CHRF_STATISTICS))
    for row, (prediction, accepted) in enumerate(zip(predictions, references, strict=True)):
        found[row] = chrf_statistics(prediction.text, accepted)
    return found


def _count_characters(text: str) -> NgramCounts:
    line = "".join(text.split())
    return [
        Counter([line[start : start + order] for start in range(len(line) - order + 1)])
        for order in range(1, MAX_ORDER + 1)
    ]


def _compare(guessed: NgramCounts, wanted: NgramCounts) -> list[float]:
    numbers = []
    for guesses, wants in zip(guessed, wanted, strict=True):
        shared = guesses.keys() & wants.keys()
        matched = sum([min(guesses[ngram], wants[ngram]) for ngram in shared])
        # sacreBLEU leaves an order out that the reference is too short for.
        numbers += [guesses.total() if wants else 0, wants.total(), matched]
    return numbers


def _signature(references: References) -> str:
    chrf = CHRF(references=streams_for_signature(references))
    return f"sacrebleu corpus|{chrf.get_signature()}|0..100"
