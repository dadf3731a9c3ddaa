"""chrF out of sums equals sacreBLEU."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.chrf import CHRF

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.chrf import chrf_family
from gemtune.evaluation.scoring.family import References

SENTENCE = "the a cheap pub near it's 3.5 stars, caf\u00e9 \u4f60\u597d \U0001f600 ( late ) . ?"
WORDS = SENTENCE.split()


def random_corpus(seed: int, max_references: int) -> tuple[list[str], list[list[str]]]:
    draw = random.Random(seed)

    def text(longest: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(0, longest)))

    references = [
        [text(12) or "a" for _ in range(draw.randint(1, max_references))] for _ in range(30)
    ]
    predictions = [
        draw.choice([draw.choice(accepted), text(9), "", "a"]) for accepted in references
    ]
    return predictions, references


def streams(references: References) -> list[Any]:
    width = max(map(len, references))
    return [[row[i] if i < len(row) else None for row in references] for i in range(width)]


def answers(texts: Sequence[str]) -> list[Prediction]:
    return [Prediction(str(index), text) for index, text in enumerate(texts)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_references", [1, 4, 45])
def test_corpus_chrf_equals_sacrebleu_with_any_number_of_references(
    seed: int, max_references: int
) -> None:
    predictions, references = random_corpus(seed, max_references)
    family = chrf_family()

    totals = family.statistics(answers(predictions), references).sum(axis=0)

    expected = CHRF().corpus_score(predictions, streams(references)).score
    assert family.corpus(totals)[0] == pytest.approx(expected, abs=1e-9)


def test_row_chrf_equals_sacrebleus_sentence_score() -> None:
    predictions, references = random_corpus(seed=7, max_references=3)
    family = chrf_family()

    rows = family.rows(family.statistics(answers(predictions), references))

    pairs = zip(predictions, references, strict=True)
    expected = [CHRF().sentence_score(*pair).score for pair in pairs]
    np.testing.assert_allclose(rows[:, 0], expected, atol=1e-9)


@pytest.mark.parametrize("references", [[["a"], ["b"]], [["a", "b"]] * 2, [["a"], ["b", "c"]]])
def test_the_signature_is_sacrebleus_own(references: list[list[str]]) -> None:
    metric = CHRF()
    metric.corpus_score(["a", "b"], streams(references))

    assert str(metric.get_signature()) in chrf_family().signature(references)
