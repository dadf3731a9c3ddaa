"""The metrics, as functions of statistics that add up over rows.

A row of statistics goes three ways: alone it gives the row's own scores, summed over the test set
it gives the corpus scores, and summed with random weights it gives one bootstrap resample.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from gemtune.evaluation.bleu import (
    N_BLEU_STATISTICS,
    bleu_from_statistics,
    bleu_signature,
    bleu_statistics,
)
from gemtune.evaluation.statistics import Floats

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
METRICS = (*ROUGE_TYPES, "bleu", "exact_match")
_N_MEANS = len(ROUGE_TYPES) + 1
N_STATISTICS = _N_MEANS + 1 + N_BLEU_STATISTICS


def row_statistics(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """Score every row once; everything else is arithmetic on the result.

    Args:
        predictions: One text a row.
        references: One or more accepted texts a row.

    Returns:
        Shape (rows, 15): rouge1, rouge2, rougeL, exact match, the count 1, ten BLEU counts.
    """
    means = np.empty((len(predictions), _N_MEANS + 1))
    for row, (prediction, accepted) in enumerate(zip(predictions, references, strict=True)):
        means[row] = [*_rouge(prediction, accepted), exact_match(prediction, accepted), 1.0]
    return np.concatenate([means, bleu_statistics(predictions, references)], axis=1)


def corpus_scores(totals: Floats) -> Floats:
    """Turn summed statistics into the metrics, in the order of `METRICS`.

    Args:
        totals: Shape (..., 15), sums of rows of `row_statistics`.

    Returns:
        Shape (..., 5): rouge1, rouge2, rougeL as means (0 to 1), corpus BLEU (0 to 100), exact
        match as a share (0 to 1).
    """
    return _scores(totals, bleu_from_statistics(totals[..., _N_MEANS + 1 :]))


def row_scores(statistics: Floats) -> Floats:
    """Score each row by itself, in the order of `METRICS`; `bleu` is sentence BLEU here."""
    bleu = bleu_from_statistics(statistics[..., _N_MEANS + 1 :], effective_order=True)
    return _scores(statistics, bleu)


def _scores(totals: Floats, bleu: Floats) -> Floats:
    means = totals[..., :_N_MEANS] / totals[..., _N_MEANS, None]
    return np.concatenate([means[..., :-1], bleu[..., None], means[..., -1:]], axis=-1)


def signatures(references: Sequence[Sequence[str]]) -> dict[str, str]:
    """Name what each metric's value depends on, for metrics.json."""
    rouge = f"rouge_score {version('rouge-score')}|stemmer|F|best reference|mean over rows|0..1"
    return {
        **dict.fromkeys(ROUGE_TYPES, rouge),
        "bleu": f"sacrebleu corpus|{bleu_signature(references)}|0..100",
        "exact_match": "white space folded|case kept|any reference|share of rows|0..1",
    }


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """Return 1.0 when the prediction is a reference, white space folded and case kept."""
    return float(_folded(prediction) in {_folded(reference) for reference in references})


def _folded(text: str) -> str:
    return " ".join(text.split())


def _rouge(prediction: str, references: Sequence[str]) -> list[float]:
    scores = _rouge_scorer().score_multi(references, prediction)
    return [scores[rouge_type].fmeasure for rouge_type in ROUGE_TYPES]


@cache
def _rouge_scorer() -> RougeScorer:
    # Handing the default tokenizer over keeps rouge_score from announcing it in the log.
    return RougeScorer(list(ROUGE_TYPES), tokenizer=DefaultTokenizer(use_stemmer=True))
