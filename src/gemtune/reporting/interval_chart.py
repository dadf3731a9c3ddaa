"""Differences with their intervals, drawn beside their figures."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gemtune.evaluation.findings import MetricDifference, SliceDifference
from gemtune.reporting.chart_axis import Axis

WIDTH, HEIGHT = 110, 18
_EDGE = 6


@dataclass(frozen=True, slots=True)
class IntervalMarks:
    """Places from left to right: the ends of the interval, the difference, zero, the margin."""

    low: float
    high: float
    point: float
    zero: float
    margin: float | None


def metric_marks(metric: MetricDifference, margin: float = 0.0) -> IntervalMarks | None:
    """Draw one metric on a scale of its own, with zero in the middle.

    Args:
        metric: What to draw.
        margin: Loss that counts as not worse; drawn when above zero.

    Returns:
        None for figures that are not finite.
    """
    allowed = -margin if metric.higher_is_better else margin
    values = (metric.low, metric.high, metric.difference, allowed)
    span = _span(filter(math.isfinite, values))
    return _marks(metric, span, allowed if margin else None)


def slice_marks(slices: Iterable[SliceDifference]) -> list[IntervalMarks | None]:
    """Draw slices on one common scale."""
    found = list(slices)
    values = [value for part in found for value in (part.low, part.high, part.difference)]
    span = _span(filter(math.isfinite, values))
    return [_marks(part, span, None) for part in found]


def _span(values: Iterable[float]) -> float:
    return max(map(abs, values), default=0.0) or 1.0


def _marks(
    found: MetricDifference | SliceDifference, span: float, margin: float | None
) -> IntervalMarks | None:
    if not all(map(math.isfinite, (found.low, found.high, found.difference))):
        return None
    axis = Axis(-span, span, _EDGE, WIDTH - _EDGE)
    return IntervalMarks(
        low=axis.place(found.low),
        high=axis.place(found.high),
        point=axis.place(found.difference),
        zero=axis.place(0.0),
        margin=None if margin is None else axis.place(margin),
    )
