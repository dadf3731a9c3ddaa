"""NIST as the E2E challenge computes it (its script `pymteval`, lowercased).

Each matched n-gram counts by its information, log2 of how often its first n - 1 words stand in the
references over how often all n do. The counts are those of the test set that the family was made
for: a resampled test set draws rows, not another idea of which words are rare.
Source: Doddington 2002, "Automatic Evaluation of Machine Translation Quality Using N-gram
Co-Occurrence Statistics".
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, References
from gemtune.evaluation.scoring.ngrams import Ngram, count_ngrams, most_in_any, words_13a

MAX_ORDER = 5
N_NIST_STATISTICS = 2 * MAX_ORDER + 1

_BREVITY = math.log(2) / math.log(1.5) ** 2
"""An answer of two thirds of the wanted length keeps half of its score."""


def nist_family(references: References) -> Family:
    """Corpus NIST with the information of n-grams in these references."""
    information = _information_in(references)
    return Family(
        "nist",
        (Metric("nist", best=None),),
        n_statistics=N_NIST_STATISTICS,
        statistics=lambda predictions, accepted: _statistics(predictions, accepted, information),
        corpus=lambda totals: _nist(totals)[..., None],
        rows=lambda rows: _nist(rows)[..., None],
        signature=lambda accepted: (
            f"pymteval|13a|lowercase|order 5|information from the references of {len(accepted)} "
            "rows|mean reference length|0.."
        ),
    )


def _information_in(references: References) -> Callable[[Ngram], float]:
    counts: Counter[Ngram] = Counter()
    for accepted in references:
        for text in accepted:
            words = _words(text)
            counts[()] += len(words)
            counts.update(count_ngrams(words, MAX_ORDER))

    def information(ngram: Ngram) -> float:
        # Rows that the family was not made for may hold n-grams that it has never seen.
        return math.log2(counts[ngram[:-1]] / counts[ngram]) if ngram in counts else 0.0

    return information


def _words(text: str) -> list[str]:
    return words_13a(text.lower())


def _statistics(
    predictions: Sequence[Prediction],
    references: References,
    information: Callable[[Ngram], float],
) -> Floats:
    # Columns: information matched by n-grams of order 1 to 5, n-grams of the answer of order 1 to
    # 5, mean words of a reference.
    found = np.zeros((len(predictions), N_NIST_STATISTICS))
    for row, prediction, accepted in zip(found, predictions, references, strict=True):
        words, accepted_words = _words(prediction.text), [_words(text) for text in accepted]
        allowed = most_in_any(accepted_words, MAX_ORDER)
        guessed = count_ngrams(words, MAX_ORDER)
        gained = [0.0] * MAX_ORDER
        for ngram, count in guessed.items():
            if ngram in allowed:
                gained[len(ngram) - 1] += min(count, allowed[ngram]) * information(ngram)
        row[:MAX_ORDER] = gained
        # The script counts below zero for answers of fewer words than the order, and so do we.
        row[MAX_ORDER : 2 * MAX_ORDER] = len(words) - np.arange(MAX_ORDER)
        row[-1] = sum(map(len, accepted_words)) / len(accepted_words)
    return found


def _nist(totals: Floats) -> Floats:
    information, n_guessed, n_wanted = np.split(totals, [MAX_ORDER, 2 * MAX_ORDER], axis=-1)
    gained = (information / np.maximum(n_guessed, 1)).sum(axis=-1)
    ratio = np.minimum(n_guessed[..., 0] / np.maximum(n_wanted[..., 0], 1e-9), 1.0)
    return gained * np.exp(-_BREVITY * np.log(np.maximum(ratio, 1e-9)) ** 2)
