"""All metrics of one test set, side by side in one row of statistics."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, References


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """The metrics of a test set and those that decide."""

    task: str
    families: tuple[Family, ...]
    primary_metrics: tuple[str, ...]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """In the order of all scores."""
        return tuple(metric for family in self.families for metric in family.metrics)

    @property
    def n_statistics(self) -> int:
        """Width of a row of statistics."""
        return sum(family.n_statistics for family in self.families)

    def column(self, metric: str) -> int:
        """Where the scores of this metric stand."""
        return [found.name for found in self.metrics].index(metric)

    def statistics(self, predictions: Sequence[Prediction], references: References) -> Floats:
        """Count what the metrics need of every row, shape (rows, statistics); rows add up."""
        found = [family.statistics(predictions, references) for family in self.families]
        return np.concatenate(found, axis=1)

    def corpus(self, totals: Floats) -> Floats:
        """Turn sums of rows, shape (..., statistics), into scores, shape (..., metrics)."""
        parts = self._parts(totals)
        return np.concatenate([family.corpus(part) for family, part in parts], axis=-1)

    def rows(self, statistics: Floats) -> Floats:
        """Score each row by itself; shape (rows, statistics) to (rows, metrics)."""
        parts = self._parts(statistics)
        return np.concatenate([family.rows(part) for family, part in parts], axis=-1)

    def signatures(self, references: References) -> dict[str, str]:
        """Name what each metric's value depends on."""
        return {
            metric.name: family.signature(references)
            for family in self.families
            for metric in family.metrics
        }

    def _parts(self, statistics: Floats) -> list[tuple[Family, Floats]]:
        edges = accumulate((family.n_statistics for family in self.families), initial=0)
        return [
            (family, statistics[..., start:end])
            for family, (start, end) in zip(self.families, pairwise(edges), strict=True)
        ]
