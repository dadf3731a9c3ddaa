"""Which metrics a test set is scored with, and which of them decide."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example
from gemtune.errors import ConfigError
from gemtune.evaluation.scoring.family import Family, References
from gemtune.evaluation.scoring.plugins import find_plugins, plugin_family
from gemtune.evaluation.scoring.registry import FAMILY_OF, RECIPES, SETS
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.scoring.task import Task, detect_task, require_task_fits
from gemtune.evaluation.test_set import accepted_answers

ALWAYS = ("rouge", "bleu")
"""Readers of metrics.json rely on rouge1, rouge2, rougeL and bleu, in front of all others."""

OF_EVERY_TASK = ("exact_match", "chrf", "loss", "length_ratio", "distinct")

PRIMARY_METRIC = {
    "text": "rougeL",
    "label": "accuracy",
    "json": "json_field_f1",
    "number": "number_match",
}

_NEVER_PRIMARY = {
    "length_ratio": "a longer answer is not a better one",
    "distinct_2": "an answer can be wrong without repeating itself",
}


def choose_scorer(
    examples: Sequence[Example], config: EvaluationConfig, *, with_loss: bool
) -> Scorer:
    """Settle task, metrics and what decides; needs no model.

    Args:
        examples: The test set.
        config: What the user asked for.
        with_loss: All predictions know the loss on their references.

    Raises:
        ConfigError: A metric that there is not, or that cannot be had here; a plugin that cannot be
            loaded; a task that the references do not fit; a margin that no loss could exceed.
        MissingExtraError: A metric needs a package that is not installed.
        PrerequisiteError: A metric needs Java.
    """
    references = [accepted_answers(example) for example in examples]
    task = detect_task(references) if config.task == "auto" else config.task
    require_task_fits(task, [example.id for example in examples], references)
    plugins = _plugins_beside_ours()
    primary = _primary_metrics(config, task, plugins)
    asked = _asked_families(config, task, plugins, with_loss=with_loss)
    names = dict.fromkeys([*ALWAYS, *asked, *(FAMILY_OF.get(name, name) for name in primary)])
    if "loss" in names and not with_loss:
        raise ConfigError(
            "the metric 'loss' needs a model, and these predictions come from a file",
            fix="take loss and perplexity out of evaluation.metrics and evaluation.primary_metric",
        )
    families = tuple(_make_family(name, references, plugins) for name in names)
    _require_margin_fits(config.margin, families, primary)
    return Scorer(task=task, families=families, primary_metrics=primary)


def _make_family(name: str, references: References, plugins: dict[str, EntryPoint]) -> Family:
    return RECIPES[name].make(references) if name in RECIPES else plugin_family(plugins[name])


def _asked_families(
    config: EvaluationConfig, task: Task, plugins: dict[str, EntryPoint], *, with_loss: bool
) -> list[str]:
    if config.metrics is None:
        names = [*([] if task == "text" else [task]), *OF_EVERY_TASK]
        return [name for name in names if with_loss or name != "loss"]
    known = {*RECIPES, *FAMILY_OF, *SETS, *plugins}
    families = []
    for name in config.metrics:
        if name not in known:
            raise _unknown("metrics", name, [*RECIPES, *SETS, *plugins], known)
        families += SETS.get(name, (FAMILY_OF.get(name, name),))
    return families


def _primary_metrics(
    config: EvaluationConfig, task: Task, plugins: dict[str, EntryPoint]
) -> tuple[str, ...]:
    asked = config.primary_metric
    if asked is None:
        return (PRIMARY_METRIC[task],)
    names = tuple(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    if not names:
        raise ConfigError(
            "evaluation.primary_metric is an empty list, so nothing would decide",
            fix=f"name at least one metric, such as {PRIMARY_METRIC[task]}, or remove the key",
        )
    choices = [name for name in (*FAMILY_OF, *plugins) if name not in _NEVER_PRIMARY]
    for name in names:
        if name in _NEVER_PRIMARY:
            raise ConfigError(
                f"evaluation.primary_metric: {name!r} cannot decide: {_NEVER_PRIMARY[name]}",
                fix=f"choose one of: {', '.join(choices)}",
            )
        if name not in choices:
            raise _unknown("primary_metric", name, choices, choices)
    return names


def _require_margin_fits(
    margin: float, families: Sequence[Family], primaries: Sequence[str]
) -> None:
    """Points of BLEU where ROUGE decides would call every model not worse."""
    for metric in (metric for family in families for metric in family.metrics):
        best = metric.best if metric.higher_is_better else None
        if metric.name in primaries and best is not None and margin >= best:
            raise ConfigError(
                f"evaluation.margin is {margin:g}, but {metric.name} runs from 0 to "
                f"{best:g}, so that no model could lose more",
                fix="give the margin in the unit of the metric, such as "
                f"{best / 50:g} for {metric.name}",
            )


def _plugins_beside_ours() -> dict[str, EntryPoint]:
    plugins = find_plugins()
    ours = {*RECIPES, *FAMILY_OF, *SETS}
    for name, plugin in plugins.items():
        if name in ours:
            raise ConfigError(
                f"the metric plugin {name!r} ({plugin.value}) has the name of a metric of gemtune",
                fix="give its entry point another name, or uninstall its package",
            )
    return plugins


def _unknown(key: str, name: str, shown: Iterable[str], known: Iterable[str]) -> ConfigError:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ConfigError(
        f"evaluation.{key}: there is no metric {name!r}{hint}",
        fix=f"choose from: {', '.join(shown)}",
    )
