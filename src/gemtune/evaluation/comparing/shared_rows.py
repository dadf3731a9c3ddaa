"""Test rows that the training data holds too.

The test side is indexed, because it is the small one: the training file is read once, row by row,
and may have any size. Source of the 13-grams: Brown et al. 2020, "Language Models are Few-Shot
Learners", appendix C.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gemtune.data.examples import Example
from gemtune.data.load import read_examples

N_WORDS = 13
MIN_SHARED = 0.5

_WORD = re.compile(r"\w+")
Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SharedRows:
    """Which test rows the training data holds; shapes (rows,)."""

    inputs: Rows
    """The input is there, case and punctuation aside."""
    pairs: Rows
    """The input is there with the same answer."""
    ngrams: Rows
    """At least half of the row's 13-grams are there."""

    @property
    def any(self) -> Rows:
        """Rows shared in any of these ways."""
        return self.inputs | self.pairs | self.ngrams


def find_shared_rows(examples: Sequence[Example], train_data: Path) -> SharedRows:
    """Meet the test rows with all training rows.

    Memory is bounded by the test set.

    Raises:
        DataError: The training data cannot be read.
    """
    pairs = [_pair(example) for example in examples]
    numbers = _number_words(pairs)
    ngrams = [set(_ngrams(pair, numbers)) for pair in pairs]
    wanted_inputs, wanted_pairs = {words for words, _ in pairs}, set(pairs)
    wanted_ngrams = set().union(*ngrams)
    met_inputs, met_pairs, met_ngrams = set(), set(), set()
    for example in read_examples(train_data):
        pair = _pair(example)
        met_inputs |= {pair[0]} & wanted_inputs
        met_pairs |= {pair} & wanted_pairs
        met_ngrams.update(ngram for ngram in _ngrams(pair, numbers) if ngram in wanted_ngrams)
    return SharedRows(
        inputs=np.array([words in met_inputs for words, _ in pairs]),
        pairs=np.array([pair in met_pairs for pair in pairs]),
        ngrams=np.array(
            [bool(row) and len(row & met_ngrams) / len(row) >= MIN_SHARED for row in ngrams]
        ),
    )


def _pair(example: Example) -> tuple[str, str]:
    """Input and answer as words with one space between them."""
    return _folded(*(message.content for message in example.prompt)), _folded(example.completion)


def _folded(*texts: str) -> str:
    return " ".join(word for text in texts for word in _WORD.findall(text.lower()))


def _number_words(pairs: Sequence[tuple[str, str]]) -> Mapping[str, int]:
    numbers: dict[str, int] = {}
    for pair in pairs:
        for word in " ".join(pair).split():
            numbers.setdefault(word, len(numbers))
    return numbers


def _ngrams(pair: tuple[str, str], numbers: Mapping[str, int]) -> Iterator[int]:
    """Yield a number for each n-gram; with a word that the test set does not know it meets none."""
    known = [numbers.get(word) for word in " ".join(pair).split()]
    for end in range(N_WORDS, len(known) + 1):
        # 64 bits of the tuple's hash: two n-grams of a test set meet in it by no likely chance.
        yield hash(tuple(known[end - N_WORDS : end]))
