"""CIDEr as the E2E challenge computes it: `Cider` of pycocoevalcap, no stemming.

How rare an n-gram is comes from the references of the test set that the family was made for, and
stays the same in resampled test sets.
Source: Vedantam et al. 2015, arXiv:1411.5726.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gemtune.evaluation.scoring.e2e.ptb_tokens import ptb_words
from gemtune.evaluation.scoring.family import Family, Metric, References, mean_family
from gemtune.evaluation.scoring.ngrams import Ngram, count_ngrams

MAX_ORDER = 4
SIGMA = 6.0
"""Words of difference in length that cost a factor of exp(-1/2)."""


@dataclass(frozen=True, slots=True)
class _Vector:
    weights: Mapping[Ngram, float]
    norms: Sequence[float]
    """Euclidean length of the weights of each order."""
    n_pairs: int


def cider_family(references: References) -> Family:
    """Consensus with the references, 0 to 10, weighed by how rare n-grams are in all of them."""
    rarity = _rarity_in(references)
    return mean_family(
        "cider",
        (Metric("cider", best=10.0),),
        lambda prediction, accepted: [_cider(prediction.text, accepted, rarity)],
        f"pycocoevalcap 1.2 Cider|PTB words, lowercase, no punctuation|order 4|sigma 6|"
        f"document frequencies of {len(references)} rows|0..10",
    )


class _Rarity(dict[Ngram, float]):
    """Inverse document frequency, with that of unseen n-grams for all others."""

    def __init__(self, n_rows_with: Mapping[Ngram, int], n_rows: int) -> None:
        super().__init__({ngram: math.log(n_rows / n) for ngram, n in n_rows_with.items()})
        self.unseen = math.log(n_rows)

    def __missing__(self, ngram: Ngram) -> float:
        return self.unseen


def _rarity_in(references: References) -> _Rarity:
    n_rows_with: Counter[Ngram] = Counter()
    for accepted in references:
        n_rows_with.update({ngram for text in accepted for ngram in _count(text)})
    return _Rarity(n_rows_with, len(references))


def _count(text: str) -> Counter[Ngram]:
    return count_ngrams(ptb_words(text).split(), MAX_ORDER)


def _cider(prediction: str, references: Sequence[str], rarity: _Rarity) -> float:
    answered = _vector(_count(prediction), rarity)
    similarities = [_similarity(answered, _vector(_count(text), rarity)) for text in references]
    return 10 * sum(similarities) / len(similarities)


def _vector(counts: Counter[Ngram], rarity: _Rarity) -> _Vector:
    weights = {ngram: count * rarity[ngram] for ngram, count in counts.items()}
    squares = [0.0] * MAX_ORDER
    for ngram, weight in weights.items():
        squares[len(ngram) - 1] += weight**2
    n_pairs = sum(count for ngram, count in counts.items() if len(ngram) == 2)
    return _Vector(weights, [math.sqrt(square) for square in squares], n_pairs)


def _similarity(answered: _Vector, wanted: _Vector) -> float:
    shared = [0.0] * MAX_ORDER
    # In the order of the answer, since a set of texts has another order in each process.
    for ngram, own_weight in answered.weights.items():
        if weight := wanted.weights.get(ngram, 0.0):
            shared[len(ngram) - 1] += min(own_weight, weight) * weight
    norms = [mine * other for mine, other in zip(answered.norms, wanted.norms, strict=True)]
    cosines = [dot / norm for dot, norm in zip(shared, norms, strict=True) if norm]
    # The package measures length in pairs of words.
    penalty = math.exp(-((answered.n_pairs - wanted.n_pairs) ** 2) / (2 * SIGMA**2))
    return penalty * sum(cosines) / MAX_ORDER
