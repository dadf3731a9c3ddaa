"""Words and their n-grams, as BLEU and NIST count them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

Ngram = tuple[str, ...]

_TOKENIZE = Tokenizer13a()


def words_13a(text: str) -> list[str]:
    """Cut a text into words as mteval-v13a does (sacreBLEU's default)."""
    return _TOKENIZE(text.rstrip()).split()


def count_ngrams(words: Sequence[str], max_order: int) -> Counter[Ngram]:
    """Count the n-grams of order 1 to `max_order`."""
    counts: Counter[Ngram] = Counter()
    for order in range(1, max_order + 1):
        counts.update(zip(*(words[start:] for start in range(order)), strict=False))
    return counts


def most_in_any(texts: Iterable[Sequence[str]], max_order: int) -> Counter[Ngram]:
    """For each n-gram, how often it stands in the text that has most of it."""
    first, *others = texts
    most = count_ngrams(first, max_order)
    for words in others:
        for ngram, count in count_ngrams(words, max_order).items():
            if count > most[ngram]:
                most[ngram] = count
    return most


def matches_by_order(
    guessed: Mapping[Ngram, int], allowed: Mapping[Ngram, int], max_order: int
) -> list[int]:
    """Count the guessed n-grams of each order that are allowed, none more often than allowed."""
    matches = [0] * max_order
    for ngram in guessed.keys() & allowed.keys():
        matches[len(ngram) - 1] += min(guessed[ngram], allowed[ngram])
    return matches


def n_words_of_closest(n_words: int, references: Iterable[Sequence[str]]) -> int:
    """Words of the reference that is nearest in length; the shorter of two equally near ones."""
    return min((abs(len(words) - n_words), len(words)) for words in references)[1]
