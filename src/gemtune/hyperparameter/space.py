"""What is searched, and the coordinates in which the sampler sees it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gemtune.config.params import Param, Params

_N_DIGITS = 3
# What rounding to three digits can move a value, twice over.
_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Span:
    """Every number between two."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """A few values; numbers are in ascending order."""

    values: tuple[Param, ...]

    @property
    def is_ordered(self) -> bool:
        """Whether neighbours are alike."""
        return not isinstance(self.values[0], str | list)


Range = Span | Choices


@dataclass(frozen=True, slots=True)
class Space:
    """The ranges by name, in the order of the preset."""

    ranges: Mapping[str, Range]
    reference_batch: float | None = None
    """The `batch_size` for which the range of `learning_rate` is meant; with another one the rate
    is multiplied by the root of the ratio. None: the range is meant for all."""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The coordinates for the sampler: ordered choices are whole numbers, which keeps the order."""
    return {name: _distribution(found) for name, found in space.ranges.items()}


def decode(point: Mapping[str, float], space: Space) -> dict[str, Param]:
    """Hyperparameters from coordinates; numbers are rounded to three digits."""
    found = {
        name: each.values[int(point[name])] if isinstance(each, Choices) else point[name]
        for name, each in space.ranges.items()
    }
    found = {**found, **_scaled(found, space, 1)}
    return {name: _rounded(value) for name, value in found.items()}


def encode(params: Params, space: Space) -> dict[str, float] | None:
    """Coordinates of hyperparameters; None if they lie outside the space."""
    params = {**params, **_scaled(params, space, -1)}
    point = {name: _coordinate(params.get(name), each) for name, each in space.ranges.items()}
    inside = {name: value for name, value in point.items() if value is not None}
    return inside if len(inside) == len(point) else None


def reference_rate(params: Params, space: Space) -> float:
    """The learning rate of `params` as the range of the space means it."""
    rate = {"learning_rate": params["learning_rate"], **_scaled(params, space, -1)}["learning_rate"]
    assert isinstance(rate, float)
    return rate


def with_range(space: Space, name: str, found: Range) -> Space:
    """The space with another range for one name."""
    return replace(space, ranges={**space.ranges, name: found})


def _scaled(params: Params, space: Space, sign: int) -> dict[str, float]:
    """The learning rate moved from the reference batch to that of `params` (+1), or back (-1)."""
    if space.reference_batch is None:
        return {}
    rate, batch = params["learning_rate"], params["batch_size"]
    assert isinstance(rate, float) and isinstance(batch, int)
    return {"learning_rate": rate * math.sqrt(batch / space.reference_batch) ** sign}


def _rounded(value: Param) -> Param:
    return float(f"{value:.{_N_DIGITS}g}") if isinstance(value, float) else value


def _distribution(found: Range) -> BaseDistribution:
    if isinstance(found, Span) and found.is_whole:
        return IntDistribution(int(found.low), int(found.high), log=found.is_log)
    if isinstance(found, Span):
        return FloatDistribution(found.low, found.high, log=found.is_log)
    n_values = len(found.values)
    if found.is_ordered:
        return IntDistribution(0, n_values - 1)
    return CategoricalDistribution(list(range(n_values)))


def _coordinate(value: Param | None, found: Range) -> float | None:
    if isinstance(found, Choices):
        return found.values.index(value) if value in found.values else None
    if not isinstance(value, int | float):
        return None
    slack = _TOLERANCE * abs(value)
    if not found.low - slack <= value <= found.high + slack:
        return None
    return min(max(value, found.low), found.high)
