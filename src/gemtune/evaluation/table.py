"""A comparison as text for a terminal."""

from collections.abc import Iterator, Sequence

from gemtune.evaluation.digits import shown, shown_difference, shown_interval, shown_p
from gemtune.evaluation.findings import Comparison, Contamination, MetricDifference

_VERDICT_WORDS = {
    "improved": "Improved: the tuned model is better than the base",
    "not worse": "Not worse: the tuned model loses no more than the margin",
    "regressed": "Regressed: the tuned model is worse than the base",
    "no evidence": "No evidence that the tuned model is better or worse than the base",
}


def comparison_table(comparison: Comparison) -> str:
    """Say the verdict in words, then show every metric and what to know about the figures.

    Returns:
        Lines without a newline at the end; the table is about 90 columns wide.
    """
    header = ("metric", "base", "tuned", "difference", _interval_name(comparison), "p", "+/=/-")
    rows = [_row(found, 1 - comparison.confidence) for found in comparison.metrics]
    return "\n".join(
        [
            *_verdict_lines(comparison),
            "",
            *_aligned([header, *rows]),
            "",
            *_legend(comparison),
            *_visible_lines(comparison),
            *_seed_lines(comparison),
            *_contamination_lines(comparison),
            *_remarks(comparison),
            _gate_line(comparison),
        ]
    )


def _verdict_lines(comparison: Comparison) -> Iterator[str]:
    yield f"{_VERDICT_WORDS[comparison.verdict]}."
    for found in _primaries(comparison):
        p = found.p if found.p_holm is None else found.p_holm
        several = " (corrected)" if len(comparison.primary_metrics) > 1 else ""
        margin = f", margin {comparison.margin:g}" if comparison.verdict == "not worse" else ""
        yield (
            f"  {found.metric} {_change(found)}, {_interval_name(comparison)} "
            f"{shown_interval(found.low, found.high, found.digits)}, "
            f"p {shown_p(p, 1 - comparison.confidence)}{several}{margin}, "
            f"{comparison.n_examples} rows"
        )


def _change(found: MetricDifference) -> str:
    base, tuned = shown(found.base, found.digits), shown(found.tuned, found.digits)
    return f"{base} -> {tuned} ({shown_difference(found.difference, found.digits)})"


def _row(found: MetricDifference, level: float) -> tuple[str, ...]:
    rows = found.rows
    return (
        found.metric + ("*" if found.is_primary else ""),
        shown(found.base, found.digits),
        shown(found.tuned, found.digits),
        shown_difference(found.difference, found.digits),
        shown_interval(found.low, found.high, found.digits),
        shown_p(found.p, level),
        "-" if found.is_neutral else f"{rows.win}/{rows.tie}/{rows.loss}",
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _legend(comparison: Comparison) -> Iterator[str]:
    yield "* decides the verdict. +/=/-: rows that got better, stayed equal, got worse."
    described = [found for found in comparison.metrics if found.is_neutral]
    lower = [
        found for found in comparison.metrics if not (found.higher_is_better or found.is_neutral)
    ]
    for what, metrics in (("Lower", lower), ("Neither higher nor lower", described)):
        if metrics:
            yield f"{what} is better: {', '.join(found.metric for found in metrics)}."


def _visible_lines(comparison: Comparison) -> Iterator[str]:
    for found in _primaries(comparison):
        if found.smallest_visible is not None:
            yield (
                f"This test set can see differences of {_unsigned(found)} {found.metric} "
                "or more (80 % power)."
            )


def _unsigned(found: MetricDifference) -> str:
    return shown_difference(found.smallest_visible or 0.0, found.digits).removeprefix("+")


def _seed_lines(comparison: Comparison) -> Iterator[str]:
    if (seeds := comparison.seeds) is not None:
        digits = comparison.primary.digits
        scores = ", ".join(shown(score, digits) for score in seeds.scores)
        yield (
            f"{len(seeds.scores)} training runs: {comparison.primary.metric} {scores} "
            f"(standard deviation {shown(seeds.standard_deviation, digits)})."
        )


def _contamination_lines(comparison: Comparison) -> Iterator[str]:
    found = comparison.contamination
    if found is None:
        return
    n_met = comparison.n_examples - found.n_clean
    yield f"Test rows in the training data: {n_met} of {comparison.n_examples}{_kinds(found)}."
    if (without := found.without) is not None:
        yield (
            f"  Without them: {without.metric} {_change(without)}, {_interval_name(comparison)} "
            f"{shown_interval(without.low, without.high, without.digits)}."
        )


def _kinds(found: Contamination) -> str:
    kinds = (
        (found.n_inputs, "same input"),
        (found.n_pairs, "same input and answer"),
        (found.n_shared_ngrams, "half of the 13-grams"),
    )
    named = ", ".join(f"{count} {what}" for count, what in kinds if count)
    return f" ({named})" if named else ""


def _remarks(comparison: Comparison) -> list[str]:
    sides = (("base", comparison.base_metrics), ("tuned", comparison.tuned_metrics))
    counts = (("n_truncated", "were cut at the longest length"), ("n_empty", "are empty"))
    spoilt = [
        f"{metrics[name]} of {comparison.n_examples} answers of the {role} model {what}"
        for role, metrics in sides
        for name, what in counts
        if metrics[name]
    ]
    return [f"Note: {remark}." for remark in (*comparison.notes, *spoilt)]


def _gate_line(comparison: Comparison) -> str:
    margin = f", margin {comparison.margin:g}" if comparison.gate == "not_worse" else ""
    met = "met" if comparison.is_gate_met else "not met"
    return f"Gate {met} (evaluation.gate: {comparison.gate}{margin})."


def _primaries(comparison: Comparison) -> list[MetricDifference]:
    return [found for found in comparison.metrics if found.is_primary]


def _interval_name(comparison: Comparison) -> str:
    return f"{comparison.confidence * 100:g} % interval"
