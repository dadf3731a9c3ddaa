"""The difference between two scored sides: figures, intervals and the verdict."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example
from gemtune.evaluation.scores import METRICS, corpus_scores, row_scores
from gemtune.evaluation.side import Side, side_metrics
from gemtune.evaluation.statistics import (
    Outcomes,
    can_show_evidence,
    count_outcomes,
    paired_bootstrap,
)
from gemtune.evaluation.test_set import accepted_answers

_FEW_GROUPS = 100
_SETTINGS_TO_AGREE = ("dtype", "batch_tokens", "max_new_tokens", "template", "separator")
_ROUGE_WORD = re.compile("[a-z0-9]", re.IGNORECASE)

Verdict = Literal["improved", "no evidence", "regressed"]


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """One metric on both sides; `low` and `high` bound tuned minus base."""

    metric: str
    base: float
    tuned: float
    difference: float
    low: float
    high: float
    rows: Outcomes


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome of a comparison; comparison.json holds the same."""

    verdict: Verdict
    primary_metric: str
    metrics: tuple[MetricDifference, ...]
    base: str
    tuned: str
    n_examples: int
    n_groups: int
    confidence: float
    bootstrap_samples: int
    seed: int
    base_metrics: Mapping[str, float]
    tuned_metrics: Mapping[str, float]
    notes: tuple[str, ...]
    """What a reader has to know before trusting the figures."""

    @property
    def primary(self) -> MetricDifference:
        """The metric that the verdict is about."""
        return next(found for found in self.metrics if found.metric == self.primary_metric)


def compare_sides(
    base: Side, tuned: Side, examples: Sequence[Example], config: EvaluationConfig
) -> Comparison:
    """Measure the difference of two scored sides and how sure it is.

    Args:
        base: Answers to the examples.
        tuned: The other side's answers to the same.
        examples: Rows with the same `group` count as one when chance is measured.
        config: Metric of the verdict, confidence, resamples and seed.
    """
    groups = [_group_of(example) for example in examples]
    n_groups = len(set(groups))
    metrics = _differences(base, tuned, groups, config)
    primary = metrics[METRICS.index(config.primary_metric)]
    return Comparison(
        verdict=_verdict(primary, can_show_evidence(n_groups, config.confidence)),
        primary_metric=config.primary_metric,
        metrics=metrics,
        base=base.name,
        tuned=tuned.name,
        n_examples=len(examples),
        n_groups=n_groups,
        confidence=config.confidence,
        bootstrap_samples=config.bootstrap_samples,
        seed=config.seed,
        base_metrics=side_metrics(base),
        tuned_metrics=side_metrics(tuned),
        notes=(
            *_size_notes(n_groups, config.confidence),
            *_script_notes(examples, config.primary_metric),
            *_settings_notes(base, tuned),
        ),
    )


def _differences(
    base: Side, tuned: Side, groups: Sequence[Hashable], config: EvaluationConfig
) -> tuple[MetricDifference, ...]:
    low, high = paired_bootstrap(
        base.statistics,
        tuned.statistics,
        corpus_scores,
        groups=groups,
        n_resamples=config.bootstrap_samples,
        confidence=config.confidence,
        seed=config.seed,
    )
    base_scores = corpus_scores(base.statistics.sum(axis=0))
    tuned_scores = corpus_scores(tuned.statistics.sum(axis=0))
    base_rows, tuned_rows = row_scores(base.statistics), row_scores(tuned.statistics)
    return tuple(
        MetricDifference(
            metric=name,
            base=float(base_scores[column]),
            tuned=float(tuned_scores[column]),
            difference=float(tuned_scores[column] - base_scores[column]),
            low=float(low[column]),
            high=float(high[column]),
            rows=count_outcomes(base_rows[:, column], tuned_rows[:, column]),
        )
        for column, name in enumerate(METRICS)
    )


def _verdict(primary: MetricDifference, enough_rows: bool) -> Verdict:
    if enough_rows and primary.low > 0:
        return "improved"
    if enough_rows and primary.high < 0:
        return "regressed"
    return "no evidence"


def _group_of(example: Example) -> Hashable:
    group = example.extra.get("group")
    # A tuple keeps an id apart from a group of the same name; groups may be any JSON value.
    return ("id", example.id) if group is None else ("group", repr(group))


def _size_notes(n_groups: int, confidence: float) -> list[str]:
    if not can_show_evidence(n_groups, confidence):
        return [f"{n_groups} independent rows are too few for any verdict"]
    if n_groups < _FEW_GROUPS:
        return [f"the interval is approximate: only {n_groups} independent rows"]
    return []


def _script_notes(examples: Sequence[Example], primary_metric: str) -> list[str]:
    """ROUGE sees no words in most scripts, and every answer would score 0."""
    n_unseen = sum(
        not any(map(_ROUGE_WORD.search, accepted_answers(example))) for example in examples
    )
    if not primary_metric.startswith("rouge") or not n_unseen:
        return []
    return [
        f"ROUGE reads a-z and 0-9 only, which {n_unseen} of {len(examples)} references do not "
        "hold; set evaluation.primary_metric to bleu or exact_match"
    ]


def _settings_notes(base: Side, tuned: Side) -> list[str]:
    if base.decode is None or tuned.decode is None:
        return ["it is not known whether both sides were decoded with the same settings"]
    of_base, of_tuned = _flat(base.decode), _flat(tuned.decode)
    return [
        f"{key} differs: {of_base.get(key)!r} (base), {of_tuned.get(key)!r} (tuned)"
        for key in _SETTINGS_TO_AGREE
        if of_base.get(key) != of_tuned.get(key)
    ]


def _flat(decode: Mapping[str, Any]) -> dict[str, Any]:
    return {**decode, **decode["data"]}
