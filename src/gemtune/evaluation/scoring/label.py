"""Answers that are one of a few labels: accuracy, macro F1, and who is taken for whom."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gemtune.errors import ConfigError
from gemtune.evaluation.comparing.resampling import Floats
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.exact_match import folded
from gemtune.evaluation.scoring.family import Family, Metric, References

MAX_LABELS = 500
"""Three counts for each label are kept of every row."""

OTHER = "(other)"
"""What stands for an answer that is no label of the references."""


def label_family(references: References) -> Family:
    """Accuracy, and F1 averaged over the labels of these references.

    Raises:
        ConfigError: So many different references are not labels.
    """
    labels = {label: index for index, label in enumerate(label_names(references))}
    if len(labels) > MAX_LABELS:
        raise ConfigError(
            f"evaluation: the references hold {len(labels):,} different answers, and scoring them "
            f"as labels works up to {MAX_LABELS}",
            fix="leave `label` out of evaluation.metrics, or set evaluation.task: text",
        )
    return Family(
        "label",
        (Metric("accuracy", is_binary=True), Metric("macro_f1")),
        n_statistics=2 + 3 * len(labels),
        statistics=lambda predictions, accepted: _statistics(predictions, accepted, labels),
        corpus=_accuracy_and_macro_f1,
        rows=_accuracy_and_macro_f1,
        signature=lambda references: (
            f"case and white space folded|{len(labels)} labels, those of the references|"
            "labels without a row left out of the mean|0..1"
        ),
    )


def label_names(references: References) -> dict[str, str]:
    """Folded label to the way in which the references write it first."""
    names: dict[str, str] = {}
    for accepted in references:
        for text in accepted:
            names.setdefault(fold_label(text), text)
    return names


def fold_label(text: str) -> str:
    """Upper and lower case alike, one space for any white space."""
    return folded(text).casefold()


def confusion_counts(
    predictions: Sequence[str], references: References
) -> dict[tuple[str, str], int]:
    """Count (right label, answered label), as the references write them; else `OTHER`."""
    names = label_names(references)
    counts: Counter[tuple[str, str]] = Counter()
    for prediction, accepted in zip(predictions, references, strict=True):
        wanted, answered = _wanted_and_answered(prediction, accepted)
        counts[names[wanted], names.get(answered, OTHER)] += 1
    return dict(counts)


def _wanted_and_answered(prediction: str, accepted: Sequence[str]) -> tuple[str, str]:
    answered, right = fold_label(prediction), [fold_label(text) for text in accepted]
    return (answered if answered in right else right[0]), answered


def _statistics(
    predictions: Sequence[Prediction], references: References, labels: dict[str, int]
) -> Floats:
    found = np.zeros((len(predictions), 2 + 3 * len(labels)))
    found[:, 1] = 1
    for row, prediction, accepted in zip(found, predictions, references, strict=True):
        wanted, answered = _wanted_and_answered(prediction.text, accepted)
        row[0] = wanted == answered
        hits, false_alarms, misses = np.split(row[2:], 3)
        if wanted == answered:
            hits[labels[wanted]] = 1
            continue
        misses[labels[wanted]] = 1
        if answered in labels:
            false_alarms[labels[answered]] = 1
    return found


def _accuracy_and_macro_f1(totals: Floats) -> Floats:
    accuracy = totals[..., 0] / totals[..., 1]
    hits, false_alarms, misses = np.split(totals[..., 2:], 3, axis=-1)
    # A resampled test set may lack a label; it says nothing about that label then.
    has_rows = hits + misses > 0
    f1 = 2 * hits / np.maximum(2 * hits + false_alarms + misses, 1)
    macro_f1 = (f1 * has_rows).sum(axis=-1) / has_rows.sum(axis=-1)
    return np.stack([accuracy, macro_f1], axis=-1)
