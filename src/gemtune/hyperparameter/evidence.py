"""What the comparison on the test data says of a winner, in figures and in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from gemtune.evaluation.digits import shown_difference, shown_interval
from gemtune.evaluation.findings import Comparison
from gemtune.hyperparameter.finalists import Finalist
from gemtune.hyperparameter.refits import Refit


@dataclass(frozen=True, slots=True)
class Evidence:
    """The first metric that decides; figures that are no finite number are None."""

    comparison_dir: str
    """Where comparison.json is."""
    verdict: str
    metric: str
    default_score: float | None
    """Of the default's run with the lowest validation loss."""
    winner_score: float | None
    """Mean over the winner's runs."""
    difference: float | None
    low: float | None
    high: float | None
    confidence: float
    n_rows: int
    selection_bias: str
    """How much of what the search showed was luck."""


def gather(
    comparison: Comparison, comparison_dir: Path, winner: Finalist, refits: Sequence[Refit]
) -> Evidence:
    """Take from a comparison what decides.

    Args:
        comparison: The default's run against the winner's.
        comparison_dir: Where it is.
        winner: As it looked when it was chosen.
        refits: The winner's runs.
    """
    primary = comparison.primary
    return Evidence(
        comparison_dir=str(comparison_dir),
        verdict=comparison.verdict,
        metric=primary.metric,
        default_score=_finite(primary.base),
        winner_score=_finite(primary.tuned),
        difference=_finite(primary.difference),
        low=_finite(primary.low),
        high=_finite(primary.high),
        confidence=comparison.confidence,
        n_rows=comparison.n_examples,
        selection_bias=_selection_bias(comparison, winner, refits),
    )


def tell(comparison: Comparison, n_seeds: int) -> str:
    """The outcome in one sentence."""
    primary = comparison.primary
    digits, percent = primary.digits, 100 * comparison.confidence
    return (
        f"{primary.metric} {primary.base:.{digits}f} with the default, "
        f"{primary.tuned:.{digits}f} with the winner: "
        f"{shown_difference(primary.difference, digits)} "
        f"({percent:g} % interval {shown_interval(primary.low, primary.high, digits)}, "
        f"{comparison.n_examples} test rows, {n_seeds} seeds); {_CONCLUSIONS[comparison.verdict]}"
    )


_NOT_PROVEN = "the gain is not proven, so the default is kept"
_CONCLUSIONS = {
    "improved": "the gain is proven",
    "not worse": _NOT_PROVEN,
    "no evidence": _NOT_PROVEN,
    "regressed": "the winner is worse on rows that it was not chosen by, so the default is kept",
}


def _selection_bias(comparison: Comparison, winner: Finalist, refits: Sequence[Refit]) -> str:
    """The best of many looks better than it is; here is by how much."""
    again, primary = mean(each.loss for each in refits), comparison.primary
    told = (
        f"the winner's validation loss was {winner.loss:.4f} when it was chosen and "
        f"{again:.4f} on average when it was trained again with other seeds"
    )
    score = winner.scores.get(primary.metric)
    if score is not None:
        told += (
            f"; its {primary.metric} was {score:.{primary.digits}f} on the validation data and "
            f"{primary.tuned:.{primary.digits}f} on the test data"
        )
    return f"{told}. The figures of a search are those of the luckiest; believe the later ones"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
