"""The files of one evaluated model: predictions.jsonl, predictions.json, metrics.json.

metrics.json is written last, so a folder that has it is complete.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gemtune.data.examples import Example
from gemtune.errors import UsageError
from gemtune.evaluation.predictions import prediction_record, read_predictions
from gemtune.evaluation.scores import METRICS, row_scores, signatures
from gemtune.evaluation.side import ScoredBatch, Side, score_rows, side_metrics
from gemtune.evaluation.test_set import accepted_answers
from gemtune.runs.environment import describe_environment
from gemtune.runs.files import write_json
from gemtune.runs.run import file_digest
from gemtune.runs.signals import uninterrupted

PREDICTIONS_FILE = "predictions.jsonl"
METRICS_FILE = "metrics.json"
_PLAN_FILE = "predictions.json"
_MODEL_FILES = ("config.json", "adapter_config.json")


def predictions_path_of(side: str | Path) -> Path | None:
    """Return the finished predictions that `side` names; None when it names a model.

    Raises:
        UsageError: It is the name of a predictions file, and there is none.
    """
    path = Path(side)
    if path.suffix == ".jsonl":
        if not path.is_file():
            raise UsageError(
                f"{path}: there is no such predictions file",
                fix="give a model, a predictions.jsonl, or a folder that holds one of them",
            )
        return path
    has_model = any((path / name).exists() for name in _MODEL_FILES)
    if (path / PREDICTIONS_FILE).is_file() and not has_model:
        return path / PREDICTIONS_FILE
    return None


def read_side(path: Path, examples: Sequence[Example]) -> Side:
    """Read finished predictions and score them anew against the test set.

    Args:
        path: A predictions.jsonl; decode settings come from the metrics.json beside it, if any.
        examples: The test set.

    Raises:
        DataError: The predictions do not fit the test set.
    """
    predictions = read_predictions(path, examples)
    decode = _decode_settings_in(path.with_name(METRICS_FILE))
    return Side(str(path), predictions, score_rows(examples, predictions), decode)


def start_side(output_dir: Path) -> None:
    """Make the folder and clear an older result, which would pass for the result of this run."""
    output_dir.mkdir(parents=True, exist_ok=True)
    for name in (METRICS_FILE, _PLAN_FILE):
        (output_dir / name).unlink(missing_ok=True)
    (output_dir / PREDICTIONS_FILE).write_bytes(b"")


def append_predictions(output_dir: Path, examples: Sequence[Example], batch: ScoredBatch) -> None:
    """Append finished rows to predictions.jsonl; a signal leaves no half line."""
    with uninterrupted(), (output_dir / PREDICTIONS_FILE).open("a", encoding="utf-8") as log:
        for record in _records(examples, batch):
            log.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")


def finish_side(output_dir: Path, side: Side, examples: Sequence[Example], test_data: Path) -> None:
    """Write predictions.json, in the order of the test set, and then metrics.json."""
    write_json(output_dir / _PLAN_FILE, list(_records(examples, _all_rows(side))))
    write_json(
        output_dir / METRICS_FILE,
        {
            **side_metrics(side),
            "model": side.name,
            "signatures": signatures([accepted_answers(example) for example in examples]),
            "decode": side.decode,
            "test_data": describe_test_data(test_data, examples),
            "environment": describe_environment(),
            "answer_seconds": side.answer_seconds,
        },
    )


def write_side(output_dir: Path, side: Side, examples: Sequence[Example], test_data: Path) -> None:
    """Write all three files of a side that is finished already."""
    start_side(output_dir)
    append_predictions(output_dir, examples, _all_rows(side))
    finish_side(output_dir, side, examples, test_data)


def describe_test_data(test_data: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """Identify the test data: path, SHA-256 of the bytes, rows, references."""
    n_references = sum(len(accepted_answers(example)) for example in examples)
    return {
        "path": str(test_data),
        "sha256": file_digest(test_data),
        "n_examples": len(examples),
        "n_references": n_references,
    }


def _decode_settings_in(metrics_path: Path) -> dict[str, Any] | None:
    """What gemtune wrote down; None for the metrics.json of another tool, or none at all."""
    try:
        metrics = json.loads(metrics_path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    decode = metrics.get("decode") if isinstance(metrics, dict) else None
    is_ours = isinstance(decode, dict) and {"data", "max_new_tokens"} <= decode.keys()
    return decode if is_ours else None


def _all_rows(side: Side) -> ScoredBatch:
    return list(zip(range(len(side.predictions)), side.predictions, side.statistics, strict=True))


def _records(examples: Sequence[Example], batch: ScoredBatch) -> Iterable[dict[str, Any]]:
    for index, prediction, statistics in batch:
        scores = dict(zip(METRICS, row_scores(statistics).tolist(), strict=True))
        yield prediction_record(examples[index], prediction, scores)
