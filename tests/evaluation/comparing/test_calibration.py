"""Where there is nothing to find, chance is found as often as it says; what there is, is found.

Two random halves of one system differ by chance alone: probabilities are uniform then, and
intervals of 95 % hold 0 in 95 % of all draws. A thousand draws of each are scored at once, which is
why the statistics of draws stand side by side in one matrix.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.comparing.significance import approximate_randomization, mcnemar_exact
from gemtune.evaluation.comparing.statistics import bootstrap_scores, interval, smallest_visible
from gemtune.evaluation.scoring.bleu import bleu_from_statistics, bleu_statistics

SHARED = Path(__file__).parents[4] / "shared" / "datasets"
E2E, GSM8K = SHARED / "e2e", SHARED / "gsm8k"

N_DRAWS = 1000
N_AT_ONCE = 100
N_RESAMPLES = 1000
LEVEL = 0.05
N_BLEU_STATISTICS = 10

Score = Callable[[Floats], Floats]
Draw = Callable[[np.random.Generator], tuple[Floats, Floats]]
"""Makes both sides, shapes (rows, statistics)."""


def mean(totals: Floats) -> Floats:
    return totals[..., 0] / totals[..., 1]


def with_count(scores: Floats) -> Floats:
    return np.stack([scores, np.ones_like(scores)], axis=-1)


def simulate(draw: Draw, score: Score, n_draws: int = N_DRAWS) -> tuple[Floats, Floats, Floats]:
    """Probabilities and interval ends of many draws, shapes (draws,)."""
    generator = np.random.default_rng(5)
    found = []
    for seed in range(n_draws // N_AT_ONCE):
        pairs = [draw(generator) for _ in range(N_AT_ONCE)]
        base, tuned = (np.concatenate(sides, axis=1) for sides in zip(*pairs, strict=True))

        def each(totals: Floats) -> Floats:
            return score(totals.reshape(*totals.shape[:-1], N_AT_ONCE, -1))

        of_base, of_tuned = bootstrap_scores(
            (base, tuned), each, n_resamples=N_RESAMPLES, seed=seed
        )
        low, high = interval(of_tuned - of_base, 1 - LEVEL)
        p = approximate_randomization(base, tuned, each, n_resamples=N_RESAMPLES, seed=seed)
        found.append((p, low, high))
    p, low, high = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return p, low, high


def distance_from_uniform(p: Floats) -> tuple[float, float]:
    """How far (Kolmogorov-Smirnov) probabilities are too small, and too large."""
    p, steps = np.sort(p), np.arange(len(p) + 1) / len(p)
    return float((steps[1:] - p).max()), float((p - steps[:-1]).max())


# Kolmogorov-Smirnov distance that a thousand uniform numbers exceed in 1 % of all cases.
CRITICAL_DISTANCE = 1.628 / np.sqrt(N_DRAWS)


def halves(rows: Floats) -> Draw:
    """Split the rows of one system at random and compare one half with the other."""

    def draw(generator: np.random.Generator) -> tuple[Floats, Floats]:
        first, second = generator.permutation(len(rows))[: len(rows) // 2 * 2].reshape(2, -1)
        return rows[first], rows[second]

    return draw


def normal_rows(shift: float) -> Draw:
    def draw(generator: np.random.Generator) -> tuple[Floats, Floats]:
        hardness, base, tuned = generator.normal(size=(3, 200))
        return with_count(hardness + base), with_count(hardness + tuned + shift)

    return draw


def tgen_rows() -> Floats:
    if not E2E.exists():
        pytest.skip("needs ../shared/datasets/e2e")
    return tgen("tgen-std.0")


def tgen(system: str) -> Floats:
    rows = [json.loads(line) for line in (E2E / "test.jsonl").read_text("utf-8").splitlines()]
    path = E2E / "system_outputs" / f"train-orig_test-orig.{system}.txt"
    answers = path.read_text("utf-8").splitlines()
    # Three references of up to 45 are enough here and much faster to count.
    return bleu_statistics(answers, [row["references"][:3] for row in rows])


def skewed_rows() -> Floats:
    """Row scores like those of a metric from 0 to 1 with many zeros."""
    scores = np.random.default_rng(1).beta(0.4, 0.8, size=600)
    return with_count(np.where(scores < 0.05, 0.0, scores))


def synthetic_bleu_rows() -> Floats:
    generator = np.random.default_rng(2)
    words = generator.integers(8, 40, size=(500, 1)).astype(float)
    guessed = words - np.arange(4)
    matched = generator.binomial(guessed.astype(int), [0.7, 0.5, 0.35, 0.25])
    return np.concatenate(
        [words, words + generator.integers(-2, 3, (500, 1)), matched, guessed],
        axis=1,
        dtype=np.float64,
    )


@pytest.mark.parametrize(
    ("rows", "score"),
    [
        pytest.param(skewed_rows, mean, id="row scores"),
        pytest.param(synthetic_bleu_rows, bleu_from_statistics, id="BLEU"),
        pytest.param(tgen_rows, bleu_from_statistics, id="BLEU of TGen on E2E"),
    ],
)
def test_two_halves_of_one_system_differ_by_chance_alone(
    rows: Callable[[], Floats], score: Score
) -> None:
    p, low, high = simulate(halves(rows()), score)

    assert max(distance_from_uniform(p)) < CRITICAL_DISTANCE
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(1 - LEVEL, abs=0.015)


def right_or_wrong() -> Floats:
    return (np.random.default_rng(3).random(1300) < 0.4).astype(float)


def gsm8k_solutions() -> Floats:
    if not GSM8K.exists():
        pytest.skip("needs ../shared/datasets/gsm8k")
    lines = (GSM8K / "example_model_solutions.jsonl").read_text("utf-8").splitlines()
    return np.array([float(json.loads(line)["6b_verification"]["is_correct"]) for line in lines])


@pytest.mark.parametrize("rows", [right_or_wrong, gsm8k_solutions])
def test_right_and_wrong_answers_of_two_halves_differ_by_chance_alone(
    rows: Callable[[], Floats],
) -> None:
    draw = halves(with_count(rows()))

    p, low, high = simulate(draw, mean)
    generator = np.random.default_rng(6)
    exact = np.array([mcnemar_of(*draw(generator)) for _ in range(N_DRAWS)])

    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(1 - LEVEL, abs=0.015)
    # Counts come in steps, so their probabilities cannot be uniform: never too small is what
    # matters, and at most a step too large (0.046: the chance of equal counts, twice over).
    for found in (p, exact):
        too_small, too_large = distance_from_uniform(found)
        assert too_small < CRITICAL_DISTANCE
        assert too_large < CRITICAL_DISTANCE + 0.046


def mcnemar_of(base: Floats, tuned: Floats) -> float:
    gains = tuned[:, 0] - base[:, 0]
    return mcnemar_exact(int((gains > 0).sum()), int((gains < 0).sum()))


def test_power_grows_with_the_effect_and_is_four_fifths_at_the_smallest_visible_one() -> None:
    # Rows of the two sides differ by noise of standard deviation sqrt(2), on 200 rows.
    visible = float(smallest_visible(np.array(np.sqrt(2 / 200)), 1 - LEVEL))

    power = []
    for share in (0.0, 0.4, 0.7, 1.0, 1.5):
        p, low, _ = simulate(normal_rows(share * visible), mean)
        power.append(np.mean((p <= LEVEL) & (low > 0)))

    assert power == sorted(power)
    assert power[0] < 0.04
    assert power[3] == pytest.approx(0.8, abs=0.04)
    assert power[4] > 0.97


def test_power_grows_with_the_share_of_better_answers() -> None:
    if not E2E.exists():
        pytest.skip("needs ../shared/datasets/e2e")
    worse, better = tgen("tgen-minus.0"), tgen("tgen-plus.0")

    power = []
    for share in (0.0, 0.15, 0.4, 1.0):
        p, low, _ = simulate(improved(worse, better, share), bleu_from_statistics, n_draws=200)
        power.append(np.mean((p <= LEVEL) & (low > 0)))

    assert power == sorted(power)
    assert power[0] == 0
    assert power[-1] > power[1] + 0.3


def improved(worse: Floats, better: Floats, share: float) -> Draw:
    """150 rows of a system, and the same with some answers of a better one."""

    def draw(generator: np.random.Generator) -> tuple[Floats, Floats]:
        rows = generator.choice(len(worse), 150, replace=False)
        is_better = generator.random((150, 1)) < share
        return worse[rows], np.where(is_better, better[rows], worse[rows])

    return draw
