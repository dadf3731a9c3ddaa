"""What each row gained by the first primary metric."""

from collections.abc import Sequence
from dataclasses import dataclass

from gemtune.evaluation.findings import MetricDifference
from gemtune.reporting.comparison_files import Row


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A row with its scores on both sides."""

    row: Row
    base: float
    tuned: float
    gain: float
    """Tuned minus base, or the other way round where less is better: above 0 is better."""


def score_rows(rows: Sequence[Row], metric: MetricDifference) -> list[ScoredRow]:
    """Score every row by a metric, what lost most first.

    Returns:
        Nothing when the rows have no scores of their own by this metric.
    """
    name, sign = metric.metric, 1 if metric.higher_is_better else -1
    scored = [
        ScoredRow(row, base, tuned, sign * (tuned - base))
        for row in rows
        if (base := row.base.scores.get(name)) is not None
        and (tuned := row.tuned.scores.get(name)) is not None
    ]
    return sorted(scored, key=lambda found: found.gain)


def worst_rows(rows: Sequence[ScoredRow], metric: MetricDifference, n: int) -> list[ScoredRow]:
    """The rows that the tuned model answers worst."""
    sign = 1 if metric.higher_is_better else -1
    return sorted(rows, key=lambda found: sign * found.tuned)[:n]
