"""The difference between two scored sides: figures, intervals and the verdict."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example
from gemtune.evaluation.comparing.contamination import contamination_finding
from gemtune.evaluation.comparing.corrections import holm
from gemtune.evaluation.comparing.length import length_finding
from gemtune.evaluation.comparing.measure import measure
from gemtune.evaluation.comparing.movers import biggest_wins
from gemtune.evaluation.comparing.notes import (
    contamination_notes,
    gate_notes,
    number_notes,
    script_notes,
    seed_notes,
    settings_notes,
    size_notes,
    slice_notes,
)
from gemtune.evaluation.comparing.pair import first_run, of_metric, pair_up
from gemtune.evaluation.comparing.seeds import seed_finding
from gemtune.evaluation.comparing.shared_rows import find_shared_rows
from gemtune.evaluation.comparing.slices import find_slices, largest_slices, measure_slices
from gemtune.evaluation.comparing.verdict import decide, is_gate_met
from gemtune.evaluation.findings import Comparison, MetricDifference
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import Side, side_metrics


def compare_sides(
    base: Side,
    tuned: Side,
    examples: Sequence[Example],
    scorer: Scorer,
    config: EvaluationConfig,
    *,
    more_tuned: Sequence[Side] = (),
    train_data: Path | None = None,
) -> Comparison:
    """Measure the difference of two scored sides and how sure it is.

    Args:
        base: Answers to the examples.
        tuned: The other side's answers to the same.
        examples: Rows with the same `group` count as one when chance is measured.
        scorer: The metrics, and which of them decide.
        config: Margin, gate, confidence, resamples and seed.
        more_tuned: Further training runs of the tuned side's recipe with other seeds.
        train_data: What the tuned side was trained on, to find test rows that it has seen.

    Raises:
        DataError: The training data cannot be read.
    """
    runs = (tuned, *more_tuned)
    # First of all, because it alone can fail.
    shared = find_shared_rows(examples, train_data) if train_data else None
    pair = pair_up(base, runs, examples, scorer)
    metrics = _with_holm(measure(pair, config), scorer.primary_metrics)
    primaries = [_named(metrics, name) for name in scorer.primary_metrics]
    verdict = decide(
        primaries, margin=config.margin, confidence=config.confidence, n_groups=pair.n_groups
    )
    primary = of_metric(pair, scorer.primary_metrics[0], scorer)
    first = first_run(primary)
    contamination = contamination_finding(primary, shared, train_data, config)
    slices = find_slices(examples, task=scorer.task, overlap=shared.any if shared else None)
    gains = first.gains[:, 0]
    return Comparison(
        verdict=verdict,
        is_gate_met=is_gate_met(verdict, config.gate),
        gate=config.gate,
        margin=config.margin,
        task=scorer.task,
        primary_metrics=scorer.primary_metrics,
        metrics=metrics,
        base=base.name,
        tuned=tuned.name,
        n_examples=len(examples),
        n_groups=pair.n_groups,
        confidence=config.confidence,
        bootstrap_samples=config.bootstrap_samples,
        seed=config.seed,
        base_metrics=side_metrics(base, scorer, examples),
        tuned_metrics=side_metrics(tuned, scorer, examples),
        slices=measure_slices(first, largest_slices(slices), config),
        length=length_finding(first, base, tuned, examples, config),
        contamination=contamination,
        seeds=seed_finding(
            [run.name for run in runs],
            [float(primary.score(run.sum(axis=0))[0]) for run in primary.runs],
        ),
        wins=biggest_wins(examples, gains),
        regressions=biggest_wins(examples, -gains),
        notes=(
            *size_notes(pair.n_groups, config, len(primaries)),
            *gate_notes(config, primaries),
            *script_notes(examples, scorer.primary_metrics),
            *number_notes(metrics),
            *contamination_notes(contamination, len(examples)),
            *slice_notes(slices),
            *seed_notes(runs),
            *settings_notes(base, runs),
        ),
    )


def _with_holm(
    metrics: Sequence[MetricDifference], primaries: Sequence[str]
) -> tuple[MetricDifference, ...]:
    corrected = holm([_named(metrics, name).p for name in primaries])
    p_holm = dict(zip(primaries, corrected, strict=True))
    return tuple(
        replace(found, is_primary=found.metric in p_holm, p_holm=p_holm.get(found.metric))
        for found in metrics
    )


def _named(metrics: Sequence[MetricDifference], name: str) -> MetricDifference:
    return next(found for found in metrics if found.metric == name)
