"""Probabilities of chance: exact small cases, released systems, and what is not a number."""

import json
import math
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.comparing.significance import (
    approximate_randomization,
    mcnemar_exact,
    two_sided_share,
)
from gemtune.evaluation.comparing.statistics import Outcomes, bootstrap_scores, count_outcomes
from gemtune.evaluation.scoring.bleu import bleu_from_statistics, bleu_statistics

SHARED = Path(__file__).parents[4] / "shared" / "datasets"
E2E, GSM8K = SHARED / "e2e", SHARED / "gsm8k"
needs_e2e = pytest.mark.skipif(not E2E.exists(), reason="needs ../shared/datasets/e2e")
needs_gsm8k = pytest.mark.skipif(not GSM8K.exists(), reason="needs ../shared/datasets/gsm8k")


def mean(totals: Floats) -> Floats:
    return totals[..., :1] / totals[..., 1:]


def with_count(*scores: float) -> Floats:
    return np.stack([np.array(scores), np.ones(len(scores))], axis=1)


def randomization(base: Floats, tuned: Floats, n_resamples: int = 20_000) -> float:
    found = approximate_randomization(base, tuned, mean, n_resamples=n_resamples, seed=1)
    return float(found[0])


def test_randomization_comes_close_to_trying_every_exchange() -> None:
    gains = [0.9, 0.4, 0.7, -0.2, 0.35, 0.1, -0.05, 0.6]
    observed = abs(sum(gains)) - 1e-9
    signs = list(product([1, -1], repeat=len(gains)))
    exact = np.mean([abs(np.dot(sign, gains)) >= observed for sign in signs])

    found = randomization(with_count(*[0.0] * 8), with_count(*gains))

    # Four standard errors of 20,000 exchanges.
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))


def test_exchanges_that_give_the_same_difference_count_as_chance_despite_rounding() -> None:
    # 0.1 + 0.2 - 0.3: a third of all exchanges tie up to the last digit.
    base, tuned = with_count(0.0, 0.0, 0.0), with_count(0.1, 0.2, 0.3)

    assert randomization(base, tuned) == pytest.approx(2 / 8, abs=0.015)


def test_a_probability_is_never_0() -> None:
    base, tuned = with_count(*[0.0] * 50), with_count(*[1.0] * 50)

    assert randomization(base, tuned, n_resamples=999) == 1 / 1000


def test_equal_sides_have_probability_1() -> None:
    scores = with_count(*np.random.default_rng(0).random(77))

    assert randomization(scores, scores.copy()) == 1.0
    assert mcnemar_exact(0, 0) == 1.0
    assert two_sided_share(np.zeros((100, 1)))[0] == 1.0


@pytest.mark.parametrize("score", [np.inf, np.nan])
def test_a_score_that_is_no_number_is_no_evidence(score: float) -> None:
    base, tuned = with_count(*[0.0] * 50), with_count(score, *[1.0] * 49)

    with np.errstate(invalid="ignore"):
        assert randomization(base, tuned) == 1.0


def test_metrics_next_to_one_that_is_no_number_keep_their_probability() -> None:
    base, tuned = np.zeros((50, 2)), np.ones((50, 2))
    tuned[3, 1] = np.inf

    with np.errstate(invalid="ignore"):
        found = approximate_randomization(
            base, tuned, lambda totals: totals, n_resamples=999, seed=1
        )

    assert found.tolist() == [1 / 1000, 1.0]


@pytest.mark.parametrize(("n_wins", "n_losses"), [(5, 0), (3, 3), (7, 2), (0, 1), (12, 30)])
def test_mcnemar_is_the_binomial_test_on_the_rows_that_differ(n_wins: int, n_losses: int) -> None:
    n = n_wins + n_losses
    chances = [Fraction(math.comb(n, k), 2**n) for k in range(n + 1)]
    exact = sum(chance for chance in chances if chance <= chances[n_wins])

    assert mcnemar_exact(n_wins, n_losses) == pytest.approx(float(exact), rel=1e-12)


def test_mcnemar_works_on_a_hundred_thousand_rows_that_differ() -> None:
    # A normal distribution, at the middle of the step between two counts.
    assert mcnemar_exact(50_300, 49_700) == pytest.approx(
        math.erfc((600 - 1) / math.sqrt(2 * 100_000)), rel=1e-3
    )


def test_the_share_of_resamples_beyond_0_is_two_sided() -> None:
    differences = np.linspace(-0.02, 0.98, 999)[:, None]  # 20 below 0

    assert two_sided_share(differences)[0] == pytest.approx(2 * 21 / 1000)
    assert two_sided_share(-differences)[0] == pytest.approx(2 * 21 / 1000)
    assert two_sided_share(np.full((999, 1), np.nan))[0] == 1.0


@needs_e2e
@pytest.mark.parametrize(
    ("base", "tuned", "p", "error"),
    [
        ("tgen-minus.0", "tgen-plus.0", 1 / 10_001, 1e-9),
        ("tgen-std.0", "tgen-plus.0", 0.008, 0.003),
        ("tgen-std.0", "tgen-std.1", 0.38, 0.02),
    ],
)
def test_released_systems_have_the_published_probabilities(
    base: str, tuned: str, p: float, error: float
) -> None:
    found = approximate_randomization(
        lowercase_bleu(base),
        lowercase_bleu(tuned),
        lambda totals: bleu_from_statistics(totals)[..., None],
        n_resamples=10_000,
        seed=42,
    )

    assert found[0] == pytest.approx(p, abs=error)


def lowercase_bleu(system: str) -> Floats:
    rows = [json.loads(line) for line in (E2E / "test.jsonl").read_text("utf-8").splitlines()]
    path = E2E / "system_outputs" / f"train-orig_test-orig.{system}.txt"
    answers = path.read_text("utf-8").lower().splitlines()
    return bleu_statistics(answers, [[text.lower() for text in row["references"]] for row in rows])


@needs_gsm8k
@pytest.mark.parametrize(
    ("base", "tuned", "outcomes", "points", "error", "p"),
    [
        ("6b_verification", "175b_finetuning", (152, 958, 209), -4.32, 1.44, 0.0032),
        ("6b_finetuning", "6b_verification", (293, 962, 64), 17.36, 1.35, 0.0),
    ],
)
def test_solutions_of_gsm8k_have_the_published_figures(
    base: str,
    tuned: str,
    outcomes: tuple[int, int, int],
    points: float,
    error: float,
    p: float,
) -> None:
    lines = (GSM8K / "example_model_solutions.jsonl").read_text("utf-8").splitlines()
    right = [
        np.array([float(json.loads(line)[model]["is_correct"]) for line in lines])
        for model in (base, tuned)
    ]

    drawn = bootstrap_scores(
        [with_count(*scores) for scores in right], mean, n_resamples=10_000, seed=42
    )

    n_wins, _, n_losses = outcomes
    assert count_outcomes(right[1] - right[0]) == Outcomes(*outcomes)
    assert 100 * (right[1].mean() - right[0].mean()) == pytest.approx(points, abs=0.005)
    # The standard error of 10,000 resamples is itself known to 0.7 %.
    assert 100 * (drawn[1] - drawn[0]).std() == pytest.approx(error, abs=0.03)
    assert mcnemar_exact(n_wins, n_losses) == pytest.approx(p, abs=5e-5)
