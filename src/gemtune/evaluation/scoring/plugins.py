"""Metrics that other packages bring: entry points of the group `gemtune.metrics`.

A plugin is a function `(prediction: str, references: Sequence[str]) -> float` that scores one row;
the score of a test set is the mean of its rows. The function may carry the attribute
`higher_is_better = False`.
"""

import math
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from gemtune.errors import ConfigError
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.family import Family, Metric, mean_family

GROUP = "gemtune.metrics"

ScoreRow = Callable[[str, Sequence[str]], float]


def find_plugins() -> dict[str, EntryPoint]:
    """Installed plugins by the name of their metric; none of them is loaded."""
    return {found.name: found for found in entry_points(group=GROUP)}


def plugin_family(plugin: EntryPoint) -> Family:
    """Load a plugin; its metric has the name of the entry point.

    Raises:
        ConfigError: It cannot be loaded, is no function, or does not say what is better.
    """
    score_row = _load(plugin)
    higher_is_better = getattr(score_row, "higher_is_better", True)
    if not isinstance(higher_is_better, bool):
        raise _complain(plugin, f"has higher_is_better = {higher_is_better!r}, not True or False")
    metric = Metric(plugin.name, best=None, higher_is_better=higher_is_better)
    return mean_family(
        plugin.name,
        (metric,),
        lambda prediction, references: [_score(plugin, score_row, prediction, references)],
        f"plugin {plugin.value} of {_package(plugin)}",
    )


def _load(plugin: EntryPoint) -> ScoreRow:
    try:
        loaded = plugin.load()
    # Whatever the import of foreign code raises, the user has to know whose code it was.
    except Exception as error:
        raise _complain(plugin, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(loaded):
        raise _complain(plugin, f"is no function but {type(loaded).__name__}")
    return cast(ScoreRow, loaded)


def _score(
    plugin: EntryPoint, score_row: ScoreRow, prediction: Prediction, references: Sequence[str]
) -> float:
    row = f"row {prediction.id!r}"
    try:
        score = score_row(prediction.text, references)
    except Exception as error:
        what = f"failed at {row}: {type(error).__name__}: {error}"
        raise _complain(plugin, what) from error
    if isinstance(score, str) or not _is_finite(score):
        raise _complain(plugin, f"returned {score!r} for {row}, not a finite number")
    return float(score)


def _is_finite(score: object) -> bool:
    try:
        return math.isfinite(cast(float, score))
    except (TypeError, OverflowError):
        return False


def _package(plugin: EntryPoint) -> str:
    return f"{plugin.dist.name} {plugin.dist.version}" if plugin.dist else "an unknown package"


def _complain(plugin: EntryPoint, what: str) -> ConfigError:
    return ConfigError(
        f"the metric plugin {plugin.name!r} ({plugin.value}, from {_package(plugin)}) {what}",
        fix=f"repair the plugin, or take {plugin.name!r} out of evaluation.metrics",
    )
