"""The decision in sentences for people who know no statistics."""

from gemtune.evaluation.findings import Comparison, MetricDifference
from gemtune.reporting.metric_words import metric_words
from gemtune.reporting.numbers import count, interval, percent, score, signed

_SPOILT = {
    "n_truncated": "were cut at the longest length",
    "n_empty": "are empty",
    "n_repeated": "end in a loop",
}


def headline(found: Comparison) -> str:
    """The verdict in one sentence."""
    match found.verdict:
        case "improved":
            return "The tuned model is better than its base."
        case "regressed":
            return "The tuned model is worse than its base."
        case "not worse":
            margin = score(found.margin, found.primary.digits)
            return f"The tuned model is not worse than its base by more than the margin, {margin}."
        case "no evidence":
            return "This test does not show that the tuned model is better or worse than its base."


def evidence(found: Comparison) -> list[str]:
    """A sentence for each primary metric: both scores, the difference and its interval."""
    return [_of_metric(metric, found) for metric in found.metrics if metric.is_primary]


def sight(found: Comparison) -> str:
    """How small a difference this test set can show; nothing where that is not known."""
    metric = found.primary
    if metric.smallest_visible is None:
        return ""
    visible = score(metric.smallest_visible, metric.digits)
    kind = "independent groups of rows" if found.n_groups != found.n_examples else "rows"
    return (
        f"A test set of {count(found.n_groups)} {kind} like this one shows a difference of "
        f"{visible} or more in {metric.metric} four times out of five; smaller ones can stay "
        "hidden."
    )


def gate_result(found: Comparison) -> str:
    """Whether the gate of the config was reached."""
    return f"Gate {'passed' if found.is_gate_met else 'not passed'}."


def gate_wish(found: Comparison) -> str:
    """What was asked for."""
    margin = score(found.margin, found.primary.digits)
    wish = {
        "improved": "an improvement",
        "not_worse": f"a model that is not worse by more than {margin}",
    }[found.gate]
    return f"It asks for {wish}."


def primary_first(found: Comparison) -> list[MetricDifference]:
    """The metrics in the order in which they matter."""
    return sorted(found.metrics, key=lambda metric: not metric.is_primary)


def caveats(found: Comparison) -> list[str]:
    """What to know before trusting the figures, answers that are spoilt included."""
    sides = (("base", found.base_metrics), ("tuned", found.tuned_metrics))
    spoilt = [
        f"{count(n_rows)} of {count(found.n_examples)} answers of the {role} model {what}"
        for role, metrics in sides
        for name, what in _SPOILT.items()
        if (n_rows := metrics.get(name))
    ]
    return [*found.notes, *spoilt]


def _of_metric(metric: MetricDifference, found: Comparison) -> str:
    digits = metric.digits
    about = [metric_words(metric.metric), "" if metric.higher_is_better else "less is better"]
    meaning = f" ({'; '.join(filter(None, about))})" if any(about) else ""
    return (
        f"On {count(found.n_examples)} test rows {metric.metric}{meaning} went from "
        f"{score(metric.base, digits)} to {score(metric.tuned, digits)}: "
        f"{signed(metric.difference, digits)}, with {percent(found.confidence)} confidence "
        f"between {interval(metric.low, metric.high, digits).replace(' to ', ' and ')}. "
        f"{count(metric.rows.win)} rows got better, {count(metric.rows.tie)} stayed equal, "
        f"{count(metric.rows.loss)} got worse."
    )
