"""Corpus BLEU as a function of sums over rows, so that a resampled test set costs one product.

Equal to sacreBLEU (tokenizer 13a, exponential smoothing, mixed case) to rounding error.
Sources: Papineni et al. 2002, "BLEU"; Post 2018, "A Call for Clarity in Reporting BLEU Scores".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, References
from gemtune.evaluation.scoring.ngrams import (
    count_ngrams,
    matches_by_order,
    most_in_any,
    n_words_of_closest,
    words_13a,
)

MAX_ORDER = 4
N_BLEU_STATISTICS = 2 + 2 * MAX_ORDER


def bleu_family() -> Family:
    """Corpus BLEU; a row by itself has sentence BLEU with effective order."""
    return Family(
        "bleu",
        (Metric("bleu", best=100.0),),
        n_statistics=N_BLEU_STATISTICS,
        statistics=lambda predictions, references: bleu_statistics(texts(predictions), references),
        corpus=lambda totals: bleu_from_statistics(totals)[..., None],
        rows=lambda rows: bleu_from_statistics(rows, effective_order=True)[..., None],
        signature=lambda references: f"sacrebleu corpus|{bleu_signature(references)}|0..100",
    )


def texts(predictions: Sequence[Prediction]) -> list[str]:
    """The answers alone."""
    return [prediction.text for prediction in predictions]


def bleu_statistics(predictions: Sequence[str], references: References) -> Floats:
    """Count what corpus BLEU needs of every row.

    Args:
        predictions: One text a row; an empty one counts as an answer of no words.
        references: One or more accepted texts a row; rows may differ in how many.

    Returns:
        Shape (rows, 10): words of the prediction, words of the closest reference, matched n-grams
        of order 1 to 4, n-grams of the prediction of order 1 to 4. Rows add up.
    """
    statistics = np.zeros((len(predictions), N_BLEU_STATISTICS))
    for row, prediction, accepted in zip(statistics, predictions, references, strict=True):
        words = words_13a(prediction)
        accepted_words = [words_13a(text) for text in accepted]
        row[:2] = len(words), n_words_of_closest(len(words), accepted_words)
        guessed, allowed = count_ngrams(words, MAX_ORDER), most_in_any(accepted_words, MAX_ORDER)
        row[2 : 2 + MAX_ORDER] = matches_by_order(guessed, allowed, MAX_ORDER)
        row[2 + MAX_ORDER :] = [max(len(words) - order, 0) for order in range(MAX_ORDER)]
    return statistics


def bleu_from_statistics(totals: Floats, *, effective_order: bool = False) -> Floats:
    """Turn summed counts into BLEU.

    Args:
        totals: Shape (..., 10), sums of rows of `bleu_statistics`.
        effective_order: Average over the orders that the prediction has, which is what single
            short rows need; corpus BLEU always averages over four.

    Returns:
        BLEU from 0 to 100, shape (...).
    """
    n_words, n_reference_words = totals[..., 0], totals[..., 1]
    matched, guessed = np.split(totals[..., 2:], 2, axis=-1)
    log_sum, smoothing = np.zeros_like(n_words), np.ones_like(n_words)
    for order in range(MAX_ORDER):
        has_any, n_guessed = guessed[..., order] > 0, np.maximum(guessed[..., order], 1.0)
        is_unmatched = has_any & (matched[..., order] == 0)
        smoothing = np.where(is_unmatched, 2 * smoothing, smoothing)
        log_precision = np.log(
            np.where(is_unmatched, 1 / smoothing, np.maximum(matched[..., order], 1.0)) / n_guessed
        )
        missing_order = 0.0 if effective_order else -np.inf
        log_sum = log_sum + np.where(has_any, log_precision, missing_order)
    n_orders = np.maximum((guessed > 0).sum(axis=-1), 1) if effective_order else MAX_ORDER
    log_brevity = np.minimum(0.0, 1 - n_reference_words / np.maximum(n_words, 1.0))
    score = 100 * np.exp(log_brevity + log_sum / n_orders)
    return np.where(matched.any(axis=-1), score, 0.0)


def bleu_signature(references: References, *, lowercase: bool = False, smooth: str = "exp") -> str:
    """Name everything that the corpus score depends on, in sacreBLEU's own notation."""
    bleu = BLEU(
        lowercase=lowercase, smooth_method=smooth, references=streams_for_signature(references)
    )
    return str(bleu.get_signature())


def streams_for_signature(references: References) -> list[Any]:
    """Stand-ins, as many beside each other as there are references, in sacreBLEU's layout."""
    counts = sorted({len(accepted) for accepted in references})
    # A signature looks at the counts alone, so one row per count is enough. None marks a missing
    # reference, which the annotations of sacreBLEU leave out.
    return [["" if stream < count else None for count in counts] for stream in range(counts[-1])]
