"""An order to let a model answer a test set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gemtune.data.examples import Example
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import ScoredBatch, Side, score_rows

Progress = Callable[[int, int], None]
"""Called with the rows that are done and all rows."""


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTask:
    """Who answers what, how, and how the answers are scored."""

    model: str
    """What the user named."""
    revision: str | None
    examples: Sequence[Example]
    scorer: Scorer
    wanted: Mapping[str, Any]
    """From `wanted_settings`."""
    on_progress: Progress | None


def score_answers(task: AnswerTask, answers: Sequence[tuple[int, Prediction]]) -> ScoredBatch:
    """Count what the metrics need of each answer; the order stays."""
    examples = [task.examples[i] for i, _ in answers]
    statistics = score_rows(task.scorer, examples, [found for _, found in answers])
    return [(i, found, row) for (i, found), row in zip(answers, statistics, strict=True)]


def side_of(
    task: AnswerTask, scored: ScoredBatch, decode: Mapping[str, Any] | None, seconds: float | None
) -> Side:
    """Bring all answers into the order of the test set."""
    in_order = sorted(scored, key=lambda row: row[0])
    predictions = [found for _, found, _ in in_order]
    statistics = np.stack([row for _, _, row in in_order])
    return Side(task.model, predictions, statistics, decode, seconds)
