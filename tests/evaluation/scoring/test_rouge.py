"""ROUGE is that of rouge_score to the last bit, also where the fast twin computes it."""

import json
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.rouge import (
    ROUGE_TYPES,
    fast_scorer,
    installed_scorer,
    reference_scorer,
    rouge_f,
    rouge_family,
)

DATASETS = Path(__file__).parents[4] / "shared" / "datasets"
needs_fast = pytest.mark.skipif(
    not find_spec("rouge_score_rs"), reason="needs the extra `fast` (rouge-score-rs)"
)
Pair = tuple[str, list[str]]

ODD_PAIRS: list[Pair] = [
    ("", [""]),
    ("", ["a word"]),
    ("a word", [""]),
    (
        "\u00c9clairs and caf\u00e9s \u2014 na\u00efve",
        ["eclairs cafes", "\u00c9clairs and caf\u00e9s"],
    ),
    ("\u4f60\u597d \u041f\u0440\u0438\u0432\u0435\u0442", ["\u4f60\u597d"]),
    ("\U0001f600 \ud800 x", ["x \ud800"]),
    ("running runners ran", ["run", "the runner runs", "dying skies"]),
    ("a b\nc\td  e", ["e d c b a", "a b c", "a\nb"]),
    ("I\u0130\u0131\u212a kelvin", ["ii k kelvin"]),
    ("x " * 300, ["x y " * 150]),
    ("w x y z", ["z y x w", "w x q q q q"]),
]


def real_pairs(folder: str) -> list[Pair]:
    path = DATASETS / folder / "test.jsonl"
    if not path.exists():
        pytest.skip(f"needs ../shared/datasets/{folder}")
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, 80)]
    references = [row.get("references") or [row["output_text"]] for row in rows]
    answers = [accepted[-1] for accepted in references[1:]] + [rows[0]["input_text"]]
    return list(zip(answers, references, strict=True))


def standard_f(prediction: str, references: list[str]) -> list[float]:
    scores = RougeScorer(list(ROUGE_TYPES), use_stemmer=True).score_multi(references, prediction)
    return [scores[name].fmeasure for name in ROUGE_TYPES]


def bits(values: list[float]) -> list[str]:
    return [float(value).hex() for value in values]


@needs_fast
@pytest.mark.parametrize("folder", ["e2e", "gsm8k", "mts_dialog"])
def test_the_fast_twin_gives_the_bits_of_rouge_score_on_real_rows(folder: str) -> None:
    for prediction, references in real_pairs(folder):
        found = rouge_f(fast_scorer(), Prediction("1", prediction), references)

        assert bits(found) == bits(standard_f(prediction, references))


@needs_fast
@pytest.mark.parametrize(("prediction", "references"), ODD_PAIRS)
def test_the_fast_twin_gives_the_bits_of_rouge_score_on_odd_texts(
    prediction: str, references: list[str]
) -> None:
    found = rouge_f(fast_scorer(), Prediction("1", prediction), references)

    assert bits(found) == bits(standard_f(prediction, references))


@pytest.mark.parametrize(("prediction", "references"), ODD_PAIRS)
def test_without_the_twin_the_bits_are_the_same(prediction: str, references: list[str]) -> None:
    found = rouge_f(reference_scorer(), Prediction("1", prediction), references)

    assert bits(found) == bits(standard_f(prediction, references))


@needs_fast
def test_the_twin_is_taken_where_it_is_installed() -> None:
    assert type(installed_scorer()).__module__.startswith("rouge_score_rs")


def test_corpus_rouge_is_the_mean_of_the_rows() -> None:
    family = rouge_family()
    predictions = [Prediction(str(index), text) for index, (text, _) in enumerate(ODD_PAIRS)]

    statistics = family.statistics(predictions, [references for _, references in ODD_PAIRS])

    expected = np.mean([standard_f(*pair) for pair in ODD_PAIRS], axis=0)
    np.testing.assert_allclose(family.corpus(statistics.sum(axis=0)), expected, atol=1e-12)


def test_each_type_takes_the_reference_that_is_best_for_it() -> None:
    # rouge1 likes the shuffled reference, rouge2 the one with a true pair of words.
    found = rouge_f(installed_scorer(), Prediction("1", "w x y z"), ["z y x w", "w x q q q q"])

    assert found[:2] == pytest.approx([1.0, 2 * (1 / 3) * (1 / 5) / (1 / 3 + 1 / 5)])
