"""The twin of the page for pull requests: the decision, its figures, the rows that moved most."""

from collections.abc import Sequence

from gemtune.evaluation.findings import Comparison, MetricDifference
from gemtune.reporting import verdict
from gemtune.reporting.comparison_files import ComparisonFiles, Row
from gemtune.reporting.effort import cost_sentence
from gemtune.reporting.judge_opinion import judge_lines
from gemtune.reporting.markdown_text import code, folded, plain, table
from gemtune.reporting.numbers import count, interval, percent, probability, score, signed
from gemtune.reporting.run_files import TrainingRun

_N_EXAMPLES = 5
_SYMBOLS = {
    "improved": "\u2705",
    "regressed": "\u274c",
    "not worse": "\u2248",
    "no evidence": "\u2754",
}


def comparison_markdown(files: ComparisonFiles, run: TrainingRun | None) -> str:
    """Write a comparison as GitHub's Markdown; text from elsewhere stays text."""
    found = files.found
    parts = [
        f"## {_SYMBOLS[found.verdict]} {verdict.headline(found)}",
        f"{code(found.tuned)} against its base {code(found.base)}",
        *(plain(sentence) for sentence in verdict.evidence(found)),
        f"**{plain(verdict.gate_result(found))}** "
        + plain(f"{verdict.gate_wish(found)} {verdict.sight(found)}"),
        "\n".join(f"- {plain(note)}" for note in verdict.caveats(found)),
        _metric_table(found),
        *_slice_table(found),
        *_findings(found),
        *_examples("Biggest losses", found.regressions, files.rows),
        *_examples("Biggest wins", found.wins, files.rows),
        cost_sentence(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def training_markdown(run: TrainingRun, name: str) -> str:
    """Write the little that a training alone tells."""
    base = str(run.told("model", "name") or "BASE")
    lines = [
        "## Nothing is proven yet about this model.",
        f"{code(name)} was trained and not compared. This command compares it with its base:",
        code(f"gemtune compare {base} {name} TEST.jsonl"),
        *(
            f"Validation loss at step {count(step)}: {score(loss, 4)}"
            for step, loss in run.validation_losses[-1:]
        ),
        cost_sentence(run),
    ]
    return "\n\n".join(lines) + "\n"


def _metric_table(found: Comparison) -> str:
    level, with_holm = 1 - found.confidence, len(found.primary_metrics) > 1
    header = ["metric", "base", "tuned", "difference", f"{percent(found.confidence)} interval"]
    header += ["p", *(["p, Holm"] if with_holm else []), "better / equal / worse"]
    rows = [
        [
            code(metric.metric) + (" \u2605" if metric.is_primary else ""),
            score(metric.base, metric.digits),
            score(metric.tuned, metric.digits),
            signed(metric.difference, metric.digits),
            interval(metric.low, metric.high, metric.digits),
            plain(probability(metric.p, level)),
            *([plain(probability(metric.p_holm, level))] if with_holm else []),
            _row_counts(metric),
        ]
        for metric in verdict.primary_first(found)
    ]
    return table(header, rows)


def _row_counts(metric: MetricDifference) -> str:
    if metric.is_neutral:
        return "\u2013"
    return f"{metric.rows.win} / {metric.rows.tie} / {metric.rows.loss}"


def _slice_table(found: Comparison) -> list[str]:
    large = [part for part in found.slices if part.p_bh is not None]
    if not large:
        return []
    digits = found.primary.digits
    header = (
        "slice",
        "rows",
        "difference",
        f"{percent(found.confidence)} interval",
        "p, corrected",
    )
    rows = [
        (
            f"{plain(part.by)} {code(part.value)}",
            count(part.n_rows),
            signed(part.difference, digits),
            interval(part.low, part.high, digits),
            plain(probability(part.p_bh, 1 - found.confidence)),
        )
        for part in large
    ]
    return [folded("Slices", table(header, rows))]


def _findings(found: Comparison) -> list[str]:
    """What may explain the difference besides a better model."""
    digits, lines = found.primary.digits, []
    if (seen := found.contamination) is not None:
        without = seen.without
        lines.append(
            f"{count(found.n_examples - seen.n_clean)} of {count(found.n_examples)} test rows are "
            "wholly or partly in the training data"
            + (f"; on the others: {signed(without.difference, digits)}." if without else ".")
        )
    if found.seeds is not None:
        lines.append(
            f"{len(found.seeds.names)} training runs; standard deviation between them "
            f"{score(found.seeds.standard_deviation, digits)}."
        )
    if found.judge is not None:
        told = " ".join(judge_lines(found.judge))
        lines.append(f"A judge ({code(found.judge.judge)}), no part of the verdict: {plain(told)}")
    return lines


def _examples(title: str, ids: Sequence[str], rows: Sequence[Row]) -> list[str]:
    by_id = {row.id: row for row in rows}
    chosen = [by_id[name] for name in ids if name in by_id][:_N_EXAMPLES]
    shown = table(
        ("row", "input", "reference", "base", "tuned"),
        [
            tuple(map(code, (r.id, r.input, r.output, r.base.prediction, r.tuned.prediction)))
            for r in chosen
        ],
    )
    return [folded(title, shown)] if chosen else []
