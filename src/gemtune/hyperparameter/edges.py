"""A best value at the edge of its range says that the range is too narrow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gemtune.config.params import Params
from gemtune.hyperparameter.space import Space, Span, reference_rate, with_range

NEAR = 0.1
_WIDER_BY = 0.5


@dataclass(frozen=True, slots=True)
class Edge:
    """The best trial lies at one end of a range, or beyond it."""

    name: str
    side: Literal["low", "high"]
    bound: float
    best: float


def find_edges(space: Space, best: Params) -> list[Edge]:
    """The ranges whose outer tenth holds the best trial.

    Only ranges in logarithms are looked at: they stand for names whose scale is what matters. The
    others are flat or end at a natural limit, and a best value at their edge is mostly chance.
    """
    found = []
    for name, span in space.ranges.items():
        if not isinstance(span, Span) or not span.is_log:
            continue
        value = reference_rate(best, space) if name == "learning_rate" else best.get(name)
        if not isinstance(value, int | float):
            continue
        place = _place(value, span)
        if place <= NEAR:
            found.append(Edge(name, "low", span.low, value))
        elif place >= 1 - NEAR:
            found.append(Edge(name, "high", span.high, value))
    return found


def _place(value: float, span: Span) -> float:
    """0 is the low end and 1 the high one, in the logarithm."""
    if value <= 0:
        return 0.0
    return math.log(value / span.low) / math.log(span.high / span.low)


def widen(space: Space, edges: Sequence[Edge]) -> Space:
    """Move each of these ends outwards by half of its range, in the logarithm."""
    for edge in edges:
        span = space.ranges[edge.name]
        assert isinstance(span, Span)
        ratio = (span.high / span.low) ** _WIDER_BY
        low = span.low / ratio if edge.side == "low" else span.low
        high = span.high * ratio if edge.side == "high" else span.high
        if span.is_whole:
            low, high = max(1, math.floor(low)), math.ceil(high)
        space = with_range(space, edge.name, Span(low, high, span.is_log, span.is_whole))
    return space


def widest(space: Space) -> Space:
    """The space with every range as wide as it can ever become."""
    spans = {
        name: each for name, each in space.ranges.items() if isinstance(each, Span) and each.is_log
    }
    for name, span in spans.items():
        low, high = Edge(name, "low", span.low, span.low), Edge(name, "high", span.high, span.high)
        lower, higher = widen(space, [low]).ranges[name], widen(space, [high]).ranges[name]
        assert isinstance(lower, Span) and isinstance(higher, Span)
        space = with_range(space, name, Span(lower.low, higher.high, True, span.is_whole))
    return space
