"""Figures of released systems: TGen on the E2E challenge (630 inputs, 1 to 45 references)."""

import json
from pathlib import Path

import numpy as np
import pytest

from gemtune.evaluation.bleu import bleu_from_statistics, bleu_statistics
from gemtune.evaluation.statistics import Floats, paired_bootstrap

E2E = Path(__file__).parents[3] / "shared" / "datasets" / "e2e"
pytestmark = pytest.mark.skipif(not E2E.exists(), reason="needs ../shared/datasets/e2e")


def lowercase_statistics(system: str) -> Floats:
    rows = [json.loads(line) for line in (E2E / "test.jsonl").read_text("utf-8").splitlines()]
    references = [[text.lower() for text in row["references"]] for row in rows]
    path = E2E / "system_outputs" / f"train-orig_test-orig.{system}.txt"
    answers = path.read_text("utf-8").splitlines()
    return bleu_statistics([answer.lower() for answer in answers], references)


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
    base_rows, tuned_rows = lowercase_statistics(base), lowercase_statistics(tuned)

    found = [float(bleu_from_statistics(side.sum(axis=0))) for side in (base_rows, tuned_rows)]
    interval = paired_bootstrap(
        base_rows,
        tuned_rows,
        lambda totals: bleu_from_statistics(totals)[:, None],
        groups=range(630),
        n_resamples=10_000,
        confidence=0.95,
        seed=0,
    )

    assert found == pytest.approx(scores, abs=0.005)
    # Two seeds of 10,000 resamples differ by about 0.03.
    assert np.concatenate(interval) == pytest.approx([low, high], abs=0.05)
