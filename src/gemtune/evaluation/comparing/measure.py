"""From a pair to figures: scores, interval, probability, and what the test set can show."""

import numpy as np

from gemtune.config.schema import EvaluationConfig
from gemtune.evaluation.comparing.pair import Pair
from gemtune.evaluation.comparing.resampling import sum_by_group
from gemtune.evaluation.comparing.seeds import several_runs
from gemtune.evaluation.comparing.significance import (
    approximate_randomization,
    mcnemar_exact,
    two_sided_share,
)
from gemtune.evaluation.comparing.statistics import (
    Floats,
    bootstrap_scores,
    count_outcomes,
    error_of_interval,
    interval,
    smallest_visible,
)
from gemtune.evaluation.findings import MetricDifference, Test
from gemtune.evaluation.scoring.family import Metric


def measure(pair: Pair, config: EvaluationConfig) -> list[MetricDifference]:
    """Measure every metric of a pair; none is marked as primary.

    Where a score is not a finite number the difference and its ends are not numbers, and the
    probability is 1.
    """
    base, *runs = (sum_by_group(side, pair.groups) for side in (pair.base, *pair.runs))
    # Perplexity overflows on hopeless models; what comes of that is no number and says so.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        drawn = bootstrap_scores(
            (base, *runs), pair.score, n_resamples=config.bootstrap_samples, seed=config.seed
        )
        base_scores, *run_scores = (pair.score(side.sum(axis=0)) for side in (base, *runs))
        differences = several_runs(drawn[1:], run_scores, seed=config.seed) - drawn[0]
        low, high = interval(differences, config.confidence)
        # Student's t of two or three runs has no standard deviation.
        error = (
            differences.std(axis=0)
            if len(runs) == 1
            else error_of_interval(low, high, config.confidence)
        )
        visible = smallest_visible(error, config.confidence)
        by_chance = _by_chance(pair, base, runs, differences, config)
        tuned = np.mean(run_scores, axis=0)
        found = tuned - base_scores
    gains = pair.gains
    tests = [_test_of(metric, pair) for metric in pair.metrics]
    return [
        MetricDifference(
            metric=metric.name,
            higher_is_better=metric.higher_is_better,
            digits=metric.digits,
            is_primary=False,
            base=float(base_scores[column]),
            tuned=float(tuned[column]),
            difference=float(found[column]),
            low=float(low[column]),
            high=float(high[column]),
            test=tests[column],
            p=_by_coins(gains[:, column])
            if tests[column] == "McNemar exact"
            else float(by_chance[column]),
            p_holm=None,
            smallest_visible=float(visible[column]) if visible[column] > 0 else None,
            rows=count_outcomes(gains[:, column], is_neutral=metric.is_neutral),
            is_neutral=metric.is_neutral,
        )
        for column, metric in enumerate(pair.metrics)
    ]


def _by_coins(gains: Floats) -> float:
    return mcnemar_exact(int((gains > 0).sum()), int((gains < 0).sum()))


def _by_chance(
    pair: Pair, base: Floats, runs: list[Floats], differences: Floats, config: EvaluationConfig
) -> Floats:
    if len(runs) > 1:
        return two_sided_share(differences)
    if all(_test_of(metric, pair) == "McNemar exact" for metric in pair.metrics):
        return np.full(len(pair.metrics), np.nan)
    return approximate_randomization(
        base, runs[0], pair.score, n_resamples=config.bootstrap_samples, seed=config.seed
    )


def _test_of(metric: Metric, pair: Pair) -> Test:
    if len(pair.runs) > 1:
        return "two-level bootstrap"
    # McNemar's rows are independent; rows of one source are not.
    if metric.is_binary and pair.n_groups == len(pair.groups):
        return "McNemar exact"
    return "approximate randomization"
