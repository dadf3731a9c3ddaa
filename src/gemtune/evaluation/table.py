"""A comparison as text for a terminal."""

from collections.abc import Sequence

from gemtune.evaluation.difference import Comparison, MetricDifference

_VERDICT_WORDS = {
    "improved": "Improved: the tuned model is better than the base",
    "regressed": "Regressed: the tuned model is worse than the base",
    "no evidence": "No evidence that the tuned model is better or worse than the base",
}


def comparison_table(comparison: Comparison) -> str:
    """Lay out base, tuned, difference and interval of every metric, and say the verdict in words.

    Returns:
        Lines without a newline at the end, about 80 columns wide.
    """
    interval = f"{comparison.confidence * 100:g} % interval"
    header = ("metric", "base", "tuned", "difference", interval, "better/same/worse")
    rows = [_row(found, comparison.primary_metric) for found in comparison.metrics]
    lines = _aligned([header, *rows])
    return "\n".join([*lines, "", _verdict_sentence(comparison), *_remarks(comparison)])


def _row(found: MetricDifference, primary_metric: str) -> tuple[str, ...]:
    digits = _digits(found.metric)
    return (
        found.metric + ("*" if found.metric == primary_metric else ""),
        f"{found.base:.{digits}f}",
        f"{found.tuned:.{digits}f}",
        f"{found.difference:+.{digits}f}",
        f"{found.low:+.{digits}f} to {found.high:+.{digits}f}",
        f"{found.rows.win}/{found.rows.tie}/{found.rows.loss}",
    )


def _digits(metric: str) -> int:
    return 2 if metric == "bleu" else 3


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _verdict_sentence(comparison: Comparison) -> str:
    primary, digits = comparison.primary, _digits(comparison.primary_metric)
    return (
        f"{_VERDICT_WORDS[comparison.verdict]} by {primary.metric}*: "
        f"{primary.difference:+.{digits}f}, with {comparison.confidence * 100:g} % confidence "
        f"between {primary.low:+.{digits}f} and {primary.high:+.{digits}f}, "
        f"on {comparison.n_examples} rows."
    )


def _remarks(comparison: Comparison) -> list[str]:
    cut = [
        f"{count} of {comparison.n_examples} answers of the {role} model {what}"
        for role, metrics in (
            ("base", comparison.base_metrics),
            ("tuned", comparison.tuned_metrics),
        )
        for what, count in (
            ("were cut at the longest length", metrics["n_truncated"]),
            ("are empty", metrics["n_empty"]),
        )
        if count
    ]
    return [f"Note: {remark}." for remark in (*comparison.notes, *cut)]
