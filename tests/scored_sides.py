"""Test sets and answers that are right on chosen rows, scored without any model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gemtune.config.schema import EvaluationConfig
from gemtune.data.examples import Example, Message
from gemtune.evaluation.comparing.difference import compare_sides
from gemtune.evaluation.findings import Comparison
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.bleu import bleu_family
from gemtune.evaluation.scoring.exact_match import exact_match_family
from gemtune.evaluation.scoring.loss import loss_family
from gemtune.evaluation.scoring.rouge import rouge_family
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import Side, score_rows

SETTINGS = {"dtype": "fp32", "batch_tokens": 4096, "max_new_tokens": 16, "data": {}}
CONFIG = EvaluationConfig(bootstrap_samples=500)


def scorer_for(*primary_metrics: str, task: str = "text") -> Scorer:
    """The metrics of text, and the loss where the verdict is about it."""
    families = [rouge_family(), bleu_family(), exact_match_family()]
    if {"loss", "perplexity"} & set(primary_metrics):
        families.append(loss_family())
    return Scorer(task, tuple(families), primary_metrics)


def make_examples(n_rows: int, **extra: Sequence[object]) -> list[Example]:
    """Rows `q 0`, `q 1`... with the given further keys."""
    return [
        Example(
            (Message("user", f"q {i}"), Message("assistant", f"the right answer {i}")),
            id=str(i),
            extra={key: value[i] for key, value in extra.items()},
        )
        for i in range(n_rows)
    ]


def make_side(
    rows: Sequence[Example],
    right: range,
    *,
    scorer: Scorer | None = None,
    decode: Mapping[str, object] | None = SETTINGS,
    loss: float = 2.0,
) -> Side:
    """A model that knows the rows in `right` and is wrong on the rest; `loss` of every token."""
    predictions = [
        Prediction(
            row.id,
            row.completion if i in right else "no idea",
            reference_loss=5 * loss * (0.5 if i in right else 1.0),
            n_reference_tokens=5,
        )
        for i, row in enumerate(rows)
    ]
    name = f"knows {right.start} to {right.stop}"
    statistics = score_rows(scorer or scorer_for("rougeL"), rows, predictions)
    return Side(name, predictions, statistics, decode)


def compare(
    rows: Sequence[Example],
    base: range,
    *tuned: range,
    primary: Sequence[str] = ("rougeL",),
    config: EvaluationConfig = CONFIG,
    train_data: Path | None = None,
) -> Comparison:
    """Compare models that know these rows; more than one tuned one are runs of one recipe."""
    scorer = scorer_for(*primary)
    first, *more = (make_side(rows, right, scorer=scorer) for right in tuned)
    return compare_sides(
        make_side(rows, base, scorer=scorer),
        first,
        rows,
        scorer,
        config,
        more_tuned=more,
        train_data=train_data,
    )
