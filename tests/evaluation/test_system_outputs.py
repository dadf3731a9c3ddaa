"""Figures of released systems: TGen on the E2E challenge (630 inputs, 1 to 45 references)."""

import json
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.comparing.statistics import bootstrap_scores, interval
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family
from gemtune.evaluation.scoring.registry import RECIPES
from gemtune.evaluation.test_set import accepted_answers, load_test_set

E2E = Path(__file__).parents[3] / "shared" / "datasets" / "e2e"
pytestmark = pytest.mark.skipif(not E2E.exists(), reason="needs ../shared/datasets/e2e")


@cache
def all_references() -> list[list[str]]:
    rows = (E2E / "test.jsonl").read_text("utf-8").splitlines()
    return [json.loads(row)["references"] for row in rows]


@cache
def family(name: str) -> Family:
    return RECIPES[name].make(all_references())


@cache
def statistics(name: str, system: str) -> Floats:
    path = E2E / "system_outputs" / f"train-orig_test-orig.{system}.txt"
    answers = path.read_text("utf-8").splitlines()
    predictions = [Prediction(str(index), answer) for index, answer in enumerate(answers)]
    return family(name).statistics(predictions, all_references())


def score(name: str, system: str) -> float:
    return float(family(name).corpus(statistics(name, system).sum(axis=0))[0])


def test_the_test_set_keeps_what_two_people_wrote_alike() -> None:
    # NIST and CIDEr weigh by how many wrote it: without them no figure below is the published one.
    found = [accepted_answers(example) for example in load_test_set(E2E / "test.jsonl")]

    assert found == [tuple(accepted) for accepted in all_references()]


@pytest.mark.parametrize(
    ("base", "tuned", "scores", "low", "high"),
    [
        ("tgen-minus.0", "tgen-plus.0", (63.80, 66.72), 1.83, 3.98),
        ("tgen-std.0", "tgen-plus.0", (66.16, 66.72), 0.14, 0.96),
        ("tgen-std.0", "tgen-std.1", (66.16, 65.66), -1.59, 0.63),
    ],
)
def test_bleu_and_its_paired_interval_are_the_published_ones(
    base: str, tuned: str, scores: tuple[float, float], low: float, high: float
) -> None:
    of_base, of_tuned = bootstrap_scores(
        [statistics("e2e_bleu", system) for system in (base, tuned)],
        family("e2e_bleu").corpus,
        n_resamples=10_000,
        seed=0,
    )
    ends = interval(of_tuned - of_base, 0.95)

    assert (score("e2e_bleu", base), score("e2e_bleu", tuned)) == pytest.approx(scores, abs=0.005)
    # Two seeds of 10,000 resamples differ by about 0.03.
    assert np.concatenate(ends) == pytest.approx([low, high], abs=0.05)


@pytest.mark.parametrize(
    ("metric", "mean", "tolerance"),
    [
        ("e2e_bleu", 66.4080, 1e-4),
        ("nist", 8.5503, 1e-4),
        ("coco_rougeL", 0.69166, 1e-5),
        ("cider", 2.22526, 1e-5),
    ],
)
def test_five_runs_of_tgen_average_to_the_published_figure(
    metric: str, mean: float, tolerance: float
) -> None:
    scores = [score(metric, f"tgen-std.{run}") for run in range(5)]

    assert np.mean(scores) == pytest.approx(mean, abs=tolerance)


@pytest.mark.parametrize(("metric", "expected"), [("coco_rougeL", 0.691407), ("cider", 2.231178)])
def test_one_run_of_tgen_has_the_figure_of_the_java_chain(metric: str, expected: float) -> None:
    assert score(metric, "tgen-std.0") == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("pycocoevalcap") and shutil.which("java")),
    reason="needs Java and the extra `e2e` (pycocoevalcap)",
)
def test_one_run_of_tgen_has_the_meteor_of_the_java_chain() -> None:
    assert score("meteor", "tgen-std.0") == pytest.approx(0.450377, abs=1e-6)
