"""BLEU out of sums equals sacreBLEU."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from gemtune.evaluation.scoring.bleu import bleu_from_statistics, bleu_signature, bleu_statistics

SENTENCE = (
    "the The a cheap PUB pub near river it's 3.5 stars, family-friendly & open ( late ) . ? "
    "\u00e9clair"
)
WORDS = SENTENCE.split()


def random_corpus(seed: int, max_references: int) -> tuple[list[str], list[list[str]]]:
    draw = random.Random(seed)
    references = [
        [text(draw, 1, 14) for _ in range(draw.randint(1, max_references))] for _ in range(40)
    ]
    predictions = [
        draw.choice([draw.choice(accepted), text(draw, 0, 12), "", text(draw, 1, 3)])
        for accepted in references
    ]
    return predictions, references


def text(draw: random.Random, shortest: int, longest: int) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(shortest, longest)))


def sacrebleu_corpus(
    predictions: Sequence[str], references: Sequence[Sequence[str]], metric: BLEU | None = None
) -> float:
    width = max(map(len, references))
    streams = [[row[i] if i < len(row) else None for row in references] for i in range(width)]
    # None marks a missing reference, which the annotations of sacreBLEU leave out.
    found = (metric or BLEU()).corpus_score(predictions, streams)  # pyrefly: ignore[bad-argument-type]
    return found.score


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_references", [1, 4, 45])
def test_corpus_bleu_equals_sacrebleu_with_any_number_of_references(
    seed: int, max_references: int
) -> None:
    predictions, references = random_corpus(seed, max_references)

    totals = bleu_statistics(predictions, references).sum(axis=0)

    expected = sacrebleu_corpus(predictions, references)
    assert bleu_from_statistics(totals) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "predictions",
    [
        ["", ""],
        ["", "a cheap pub near the river"],
        ["nothing in common here", "at all or ever"],
        ["a", "pub"],
        ["a cheap", "river near"],
        ["a cheap bar by a lake", "the river is far away"],
    ],
)
def test_corpora_with_missing_orders_and_empty_answers_equal_sacrebleu(
    predictions: list[str],
) -> None:
    references = [["a cheap pub near the river"], ["it is near the river", "river"]]

    totals = bleu_statistics(predictions, references).sum(axis=0)

    expected = sacrebleu_corpus(predictions, references)
    assert bleu_from_statistics(totals) == pytest.approx(expected, abs=1e-9)


def test_an_empty_answer_stays_in_the_corpus_and_costs_brevity() -> None:
    full = ["a cheap pub near the river", "it is near the river"]
    references = [[answer] for answer in full]

    complete = bleu_statistics(full, references).sum(axis=0)
    one_missing = bleu_statistics([full[0], ""], references).sum(axis=0)

    assert bleu_from_statistics(complete) == pytest.approx(100)
    assert bleu_from_statistics(one_missing) < 60


def test_row_bleu_equals_sacrebleus_sentence_score() -> None:
    predictions, references = random_corpus(seed=9, max_references=3)

    rows = bleu_from_statistics(bleu_statistics(predictions, references), effective_order=True)

    sentence = BLEU(effective_order=True).sentence_score
    expected = [sentence(*row).score for row in zip(predictions, references, strict=True)]
    np.testing.assert_allclose(rows, expected, atol=1e-9)


def test_many_totals_at_once_give_what_each_gives_alone() -> None:
    statistics = bleu_statistics(*random_corpus(seed=3, max_references=2))
    weights = np.random.default_rng(0).integers(0, 3, size=(6, len(statistics))).astype(float)

    together = bleu_from_statistics(weights @ statistics)

    np.testing.assert_array_equal(
        together, [bleu_from_statistics(row) for row in weights @ statistics]
    )


@pytest.mark.parametrize(
    ("references", "count"),
    [
        ([["a"], ["b"]], "nrefs:1"),
        ([["a", "b"]] * 2, "nrefs:2"),
        ([["a"], ["b", "c"]], "nrefs:var"),
    ],
)
def test_the_signature_is_sacrebleus_own(references: list[list[str]], count: str) -> None:
    metric = BLEU()
    sacrebleu_corpus(["a"] * len(references), references, metric)

    assert bleu_signature(references) == str(metric.get_signature())
    assert count in bleu_signature(references)
