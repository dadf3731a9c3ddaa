"""The shape of every metric: numbers of a row that add up, and what their sums mean.

A row of statistics goes three ways: alone it gives the row's own scores, summed over the test set
it gives the corpus scores, and summed with random weights it gives one bootstrap resample.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction

References = Sequence[Sequence[str]]
"""One or more accepted texts a row, the row's own first; rows may differ in how many."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a reader has to know about one figure."""

    name: str
    best: float | None = 1.0
    """The best possible score; None where there is none."""
    higher_is_better: bool = True
    is_neutral: bool = False
    """It describes the answers: neither direction is better."""
    is_binary: bool = False
    """Every row scores 0 or 1, and the corpus score is the mean of the rows."""

    @property
    def digits(self) -> int:
        """Decimals that are worth showing: scores run to 1 or, in percent, to 100."""
        return 2 if self.best == 100.0 else 3


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Metrics that are made of the same numbers."""

    name: str
    metrics: tuple[Metric, ...]
    n_statistics: int
    statistics: Callable[[Sequence[Prediction], References], Floats]
    """Numbers of each row, shape (rows, n_statistics); rows add up."""
    corpus: Callable[[Floats], Floats]
    """Sums of rows, shape (..., n_statistics), to scores, shape (..., metrics)."""
    rows: Callable[[Floats], Floats]
    """Single rows, shape (rows, n_statistics), to their own scores, shape (rows, metrics)."""
    signature: Callable[[References], str]
    """Everything that the scores depend on, in one line, for metrics.json."""


def mean_family(
    name: str,
    metrics: tuple[Metric, ...],
    score_row: Callable[[Prediction, Sequence[str]], Sequence[float]],
    signature: str,
) -> Family:
    """Metrics whose corpus score is the mean of the rows.

    Args:
        name: What the config calls the family.
        metrics: In the order of the scores.
        score_row: Scores of one answer against its accepted texts, one for each metric.
        signature: Everything that the scores depend on.
    """

    def statistics(predictions: Sequence[Prediction], references: References) -> Floats:
        found = np.ones((len(predictions), len(metrics) + 1))
        for row, (prediction, accepted) in enumerate(zip(predictions, references, strict=True)):
            found[row, :-1] = score_row(prediction, accepted)
        return found

    return Family(
        name,
        metrics,
        n_statistics=len(metrics) + 1,
        statistics=statistics,
        corpus=means,
        rows=means,
        signature=lambda references: f"{signature}|mean over rows",
    )


def means(totals: Floats) -> Floats:
    """Divide sums by the count in the last column; shape (..., n + 1) to (..., n)."""
    return totals[..., :-1] / totals[..., -1:]
