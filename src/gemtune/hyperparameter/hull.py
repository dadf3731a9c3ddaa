"""What Optuna is told about each name: one range for all trials, wide enough for every one.

Optuna compares only trials whose ranges are equal. The sampler works elsewhere, in the true ranges.
"""

import json
from collections.abc import Iterator, Sequence

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gemtune.config.params import PATHS, WHOLE_NUMBERS, Param
from gemtune.hyperparameter.edges import widest
from gemtune.hyperparameter.search import Search
from gemtune.hyperparameter.space import Choices, Space, Span

_IN_LOGARITHMS = frozenset({"batch_size", "lora_alpha", "lora_r"})


def hull(search: Search) -> dict[str, BaseDistribution]:
    """The names that differ between any two trials, each with a range that holds all of them."""
    space = widest(search.space)
    found = {}
    for name in PATHS:
        values = list(_values(search, space, name))
        if len({json.dumps(value) for value in values}) > 1:
            found[name] = _hold(name, values, space)
    return found


def shown(value: Param) -> float | int | str:
    """A value as Optuna can keep it."""
    return json.dumps(value) if isinstance(value, list) else value


def _values(search: Search, space: Space, name: str) -> Iterator[Param]:
    """Everything that a trial can have under a name, or the ends of it."""
    settings = [search.base, *(tried.params for tried in search.tried)]
    yield from (params[name] for params in settings if name in params)
    match space.ranges.get(name):
        case Choices(values):
            yield from values
        case Span(low, high, _, is_whole):
            yield from (int(low), int(high)) if is_whole else _rates(space, name, low, high)


def _rates(space: Space, name: str, low: float, high: float) -> tuple[float, float]:
    """The ends of a range; those of a learning rate that goes with the batch size."""
    batches = space.ranges.get("batch_size")
    if name != "learning_rate" or space.reference_batch is None:
        return low, high
    assert isinstance(batches, Choices)
    ratios = [float(n) / space.reference_batch for n in batches.values if isinstance(n, int)]
    return low * min(ratios) ** 0.5, high * max(ratios) ** 0.5


def _hold(name: str, values: Sequence[Param], space: Space) -> BaseDistribution:
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        return CategoricalDistribution(sorted({shown(value) for value in values}, key=str))
    low, high = min(numbers), max(numbers)
    span = space.ranges.get(name)
    is_log = name in _IN_LOGARITHMS or name == "learning_rate"
    is_log = (is_log or (isinstance(span, Span) and span.is_log)) and low > 0
    if name in WHOLE_NUMBERS:
        return IntDistribution(int(low), int(high), log=is_log)
    # Values are rounded to three digits, so one at an end may lie a little beyond it.
    return FloatDistribution(low * 0.99, high * 1.01, log=is_log)
