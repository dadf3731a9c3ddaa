"""All metrics together: their ranges, several references, and what stands in metrics.json."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import References
from gemtune.evaluation.scoring.registry import RECIPES
from gemtune.evaluation.scoring.scorer import Scorer

WITHOUT_JAVA = [name for name in RECIPES if name != "meteor"]
PREDICTIONS = ["Reset the router", "the cats were running fast", "", "Sure! 42"]
REFERENCES = [
    ["Reset the router"],
    ["the cat was running", "a dog ran fast away"],
    ["Say sorry"],
    ["42", "forty-two"],
]


def answers(texts: list[str]) -> list[Prediction]:
    return [
        Prediction(f"row-{index}", text, reference_loss=2.0, n_reference_tokens=4)
        for index, text in enumerate(texts)
    ]


def scorer_of(*names: str, references: References = REFERENCES) -> Scorer:
    families = tuple(RECIPES[name].make(references) for name in names)
    return Scorer("text", families, ("rougeL",))


def corpus(scorer: Scorer, texts: list[str], references: References) -> dict[str, float]:
    totals = scorer.statistics(answers(texts), references).sum(axis=0)
    names = [metric.name for metric in scorer.metrics]
    return dict(zip(names, scorer.corpus(totals).tolist(), strict=True))


def test_a_perfect_model_gets_the_best_of_every_metric_that_has_one() -> None:
    references = [
        ["It has a cheap pub near the river"],
        ["Say that the router is on fire"],
    ]
    scorer = scorer_of(*WITHOUT_JAVA, references=references)
    about_form = {"json_valid", "json_exact", "json_field_f1", "number_match", "loss", "perplexity"}

    found = corpus(scorer, [row[0] for row in references], references)

    for metric in scorer.metrics:
        if metric.best is not None and metric.name not in about_form:
            assert found[metric.name] == pytest.approx(metric.best), metric.name


def test_a_silent_model_gets_finite_figures_and_no_credit() -> None:
    references = [["Reset it", "Reset"], ["Say sorry"]]
    scorer = scorer_of(*WITHOUT_JAVA, references=references)

    found = corpus(scorer, ["", ""], references)

    assert found.pop("distinct_2") == 1.0
    assert found.pop("loss") == 0.5
    assert found.pop("perplexity") == pytest.approx(np.exp(0.5))
    assert found == dict.fromkeys(found, 0.0)


@pytest.mark.parametrize("name", WITHOUT_JAVA)
def test_a_row_by_itself_scores_as_a_test_set_of_that_row(name: str) -> None:
    family = RECIPES[name].make(REFERENCES)
    statistics = family.statistics(answers(PREDICTIONS), REFERENCES)

    rows = family.rows(statistics)

    assert rows.shape == (len(PREDICTIONS), len(family.metrics))
    if "bleu" not in name:  # sentence BLEU averages over the orders that the row has
        np.testing.assert_array_equal(rows, [family.corpus(row) for row in statistics])


@pytest.mark.parametrize("name", WITHOUT_JAVA)
def test_many_resamples_at_once_score_as_each_does_alone(name: str) -> None:
    family = RECIPES[name].make(REFERENCES)
    statistics = family.statistics(answers(PREDICTIONS), REFERENCES)
    n_rows = len(statistics)
    weights = np.random.default_rng(0).multinomial(n_rows, [1 / n_rows] * n_rows, size=6)
    totals = weights @ statistics

    together = family.corpus(totals)

    assert statistics.shape == (len(PREDICTIONS), family.n_statistics)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, [family.corpus(row) for row in totals], rtol=1e-14)


@pytest.mark.parametrize("name", WITHOUT_JAVA)
def test_rows_scored_in_batches_give_what_all_at_once_give(name: str) -> None:
    family = RECIPES[name].make(REFERENCES)
    predictions = answers(PREDICTIONS)

    batches = [
        family.statistics(predictions[part], REFERENCES[part]) for part in (slice(1), slice(1, 4))
    ]

    whole = family.statistics(predictions, REFERENCES)
    np.testing.assert_array_equal(np.concatenate(batches), whole)


@pytest.mark.parametrize("name", WITHOUT_JAVA)
def test_the_registry_knows_the_metrics_of_each_family(name: str) -> None:
    family = RECIPES[name].make(REFERENCES)

    assert family.name == name
    assert tuple(metric.name for metric in family.metrics) == RECIPES[name].metrics


def test_another_process_finds_the_same_bits() -> None:
    # Sets of texts have another order in each process, and sums of floats depend on their order.
    code = (
        "from gemtune.evaluation.prediction import Prediction\n"
        "from gemtune.evaluation.scoring.registry import RECIPES\n"
        "rows = [[f'a pub near the {i} river {i % 3} or a cheap bar'] * 2 for i in range(30)]\n"
        "texts = [Prediction('', f'a bar {i} by the river {i % 3} or pub') for i in range(30)]\n"
        "for name, recipe in RECIPES.items():\n"
        "    if name != 'meteor':\n"
        "        family = recipe.make(rows)\n"
        "        print(name, family.statistics(texts, rows).tobytes().hex())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": "src"},
            cwd=Path(__file__).parents[3],
        ).stdout
        for seed in ("1", "2")
    }

    assert len(found) == 1


def test_binary_metrics_are_means_of_zeros_and_ones() -> None:
    scorer = scorer_of(*WITHOUT_JAVA)
    statistics = scorer.statistics(answers(PREDICTIONS), REFERENCES)
    rows, all_rows = scorer.rows(statistics), scorer.corpus(statistics.sum(axis=0))

    for metric, scores, score in zip(scorer.metrics, rows.T, all_rows, strict=True):
        if metric.is_binary:
            assert set(scores) <= {0.0, 1.0}, metric.name
            assert score == pytest.approx(scores.mean()), metric.name


def test_columns_follow_the_order_of_the_families() -> None:
    scorer = scorer_of("rouge", "loss", "bleu")

    assert [metric.name for metric in scorer.metrics][3:] == ["loss", "perplexity", "bleu"]
    assert scorer.column("bleu") == 5


def test_signatures_name_every_metric_and_what_it_depends_on() -> None:
    scorer = scorer_of(*WITHOUT_JAVA)

    found = scorer.signatures(REFERENCES)

    assert list(found) == [metric.name for metric in scorer.metrics]
    assert "nrefs:var" in found["bleu"]
    assert "nrefs:var" in found["chrf"]
    assert "case:lc" in found["e2e_bleu"]
    assert "smooth:none" in found["e2e_bleu"]
    assert "4 rows" in found["cider"]
    assert all(signature.isascii() for signature in found.values())


def test_scoring_says_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    references = [["It ends ."]] * 200
    scorer = scorer_of(*WITHOUT_JAVA, references=references)

    with caplog.at_level(logging.DEBUG):
        scorer.statistics(answers(["It ends ."] * 200), references)

    assert caplog.records == []
