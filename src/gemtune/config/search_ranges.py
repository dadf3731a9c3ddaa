"""What `hyperparameter.ranges` may hold, beyond the types of the schema."""

from collections.abc import Iterator

from gemtune.config.origins import KeyPath
from gemtune.config.params import (
    WHOLE_NUMBERS,
    Param,
    complain_about_param,
    require_name,
)
from gemtune.config.schema import HyperparameterConfig, SearchRange
from gemtune.errors import ConfigError

_SECTION = "hyperparameter"


def broken_ranges(search: HyperparameterConfig) -> Iterator[tuple[KeyPath, str]]:
    """The key to point at and what is wrong, for every range that cannot be searched."""
    if search.space == "custom" and not search.ranges:
        yield (
            (_SECTION, "space"),
            "'hyperparameter.space' is custom but 'hyperparameter.ranges' is empty; give a range, "
            "as in hyperparameter.ranges.learning_rate={low: 1e-4, high: 1e-2, log: true}",
        )
    if search.space != "custom" and search.ranges:
        yield (
            (_SECTION, "ranges"),
            f"'hyperparameter.ranges' is for a custom space, but 'hyperparameter.space' is "
            f"{search.space}; write hyperparameter.space=custom or leave the ranges out",
        )
    for name, found in search.ranges.items():
        if problem := _complain_about_name(name) or _complain_about_range(name, found):
            yield (_SECTION, "ranges", name), problem


def _complain_about_name(name: str) -> str | None:
    try:
        require_name(name)
    except ConfigError as error:
        return str(error)
    return None


def _complain_about_range(name: str, found: SearchRange) -> str | None:
    label = f"'hyperparameter.ranges.{name}'"
    if found.choices is not None:
        if found.low is not None or found.high is not None or found.log:
            return f"{label} has choices and bounds; keep one of them"
        return _complain_about_choices(name, label, found.choices)
    if found.low is None or found.high is None:
        return f"{label} needs low and high, or choices"
    if not found.low < found.high:
        return f"{label}: low must be below high; got {found.low:g} and {found.high:g}"
    if found.log and found.low <= 0:
        return f"{label}: with log the bounds must be above 0; got {found.low:g}"
    return _complain_about_values(name, [found.low, found.high])


def _complain_about_choices(name: str, label: str, choices: list[float | str]) -> str | None:
    if len(choices) < 2 or len(set(choices)) < len(choices):
        return f"{label}: choices must be two or more, all different"
    if len({isinstance(value, str) for value in choices}) > 1:
        return f"{label}: choices must be all numbers or all text"
    return _complain_about_values(name, choices)


def _complain_about_values(name: str, values: list[float | str]) -> str | None:
    complaints = (complain_about_param(name, as_param(name, value)) for value in values)
    return next(filter(None, complaints), None)


def as_param(name: str, value: float | str) -> Param:
    """The value as its key takes it: 8.0 is 8 where whole numbers are wanted."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if name in WHOLE_NUMBERS and is_whole else value
