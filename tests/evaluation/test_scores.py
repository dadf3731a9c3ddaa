"""Each metric, its range, and what several references mean."""

import logging

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from gemtune.evaluation.scores import (
    METRICS,
    corpus_scores,
    exact_match,
    row_scores,
    row_statistics,
    signatures,
)

PREDICTIONS = ["Reset the router", "the cats were running fast", "", "Sure! 42"]
REFERENCES = [
    ["Reset the router"],
    ["the cat was running", "a dog ran fast away"],
    ["Say sorry"],
    ["42", "forty-two"],
]


def by_name(values: np.ndarray) -> dict[str, float]:
    return dict(zip(METRICS, values.tolist(), strict=True))


def corpus(predictions: list[str], references: list[list[str]]) -> dict[str, float]:
    return by_name(corpus_scores(row_statistics(predictions, references).sum(axis=0)))


def test_rouge_is_the_mean_over_rows_of_the_best_references_f_with_stemmer() -> None:
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)

    found = corpus(PREDICTIONS, REFERENCES)

    for name in ("rouge1", "rouge2", "rougeL"):
        best = [
            max(scorer.score(accepted, prediction)[name].fmeasure for accepted in row)
            for prediction, row in zip(PREDICTIONS, REFERENCES, strict=True)
        ]
        assert found[name] == pytest.approx(np.mean(best), abs=1e-12)


def test_each_rouge_type_takes_the_reference_that_is_best_for_it() -> None:
    # rouge1 likes the shuffled reference, rouge2 the one with a true pair of words.
    found = corpus(["w x y z"], [["z y x w", "w x q q q q"]])

    assert found["rouge1"] == pytest.approx(1.0)
    assert found["rouge2"] == pytest.approx(2 * (1 / 3) * (1 / 5) / (1 / 3 + 1 / 5))


def test_a_perfect_model_gets_the_top_of_every_range() -> None:
    found = corpus(["Reset the router now"], [["Reset the router now"]])

    assert found == pytest.approx(
        {"rouge1": 1.0, "rouge2": 1.0, "rougeL": 1.0, "bleu": 100.0, "exact_match": 1.0}
    )


def test_a_silent_model_gets_zero_and_no_nan() -> None:
    assert corpus(["", ""], [["Reset it"], ["Say sorry"]]) == dict.fromkeys(METRICS, 0.0)


@pytest.mark.parametrize(
    ("prediction", "matches"),
    [
        ("Reset  the\n router ", 1.0),
        ("reset the router", 0.0),
        ("Reset the router.", 0.0),
        ("Restart", 1.0),
        ("", 0.0),
    ],
)
def test_exact_match_folds_white_space_and_keeps_case(prediction: str, matches: float) -> None:
    assert exact_match(prediction, ["Reset the router", "Restart"]) == matches


def test_row_scores_of_one_row_are_its_corpus_scores_where_the_metric_is_a_mean() -> None:
    rows = row_scores(row_statistics(PREDICTIONS, REFERENCES))

    for row, prediction, accepted in zip(rows, PREDICTIONS, REFERENCES, strict=True):
        alone, found = corpus([prediction], [accepted]), by_name(row)
        assert {**found, "bleu": 0} == pytest.approx({**alone, "bleu": 0})


def test_a_short_right_answer_has_full_row_bleu() -> None:
    assert by_name(row_scores(row_statistics(["42"], [["42"]]))[0])["bleu"] == pytest.approx(100)


def test_signatures_name_every_metric_and_its_range() -> None:
    found = signatures(REFERENCES)

    assert set(found) == set(METRICS)
    assert "nrefs:var" in found["bleu"]
    assert all("0..1" in signature for signature in found.values())


def test_scoring_says_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        row_statistics(["It ends ."] * 200, [["It ends ."]] * 200)

    assert caplog.records == []
