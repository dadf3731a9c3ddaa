"""The files of one evaluated model: predictions.jsonl, predictions.json, metrics.json, speed.json.

metrics.json is written last, so a folder that has it is complete.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gemtune.data.examples import Example
from gemtune.errors import UsageError
from gemtune.evaluation.answers.log import answer_records, read_answer_log, rewrite_answer_log
from gemtune.evaluation.answers.record import (
    LOCK_FILE,
    METRICS_FILE,
    PLAN_FILE,
    PREDICTIONS_FILE,
    SPEED_FILE,
    AnswerRecord,
    open_answers,
    read_answer_record,
    write_answer_record,
)
from gemtune.evaluation.json_values import with_nulls
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import ScoredBatch, Side, score_rows, side_metrics
from gemtune.evaluation.test_set import accepted_answers
from gemtune.runs.environment import describe_environment
from gemtune.runs.files import sync_file, write_json
from gemtune.runs.owned_folder import own_folder
from gemtune.runs.run import file_digest

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


def read_side(
    source: Path,
    predictions: Sequence[Prediction],
    scorer: Scorer,
    examples: Sequence[Example],
    *,
    test_data: Path,
    output_dir: Path | None,
    overwrite: bool,
) -> Side:
    """Score finished predictions, and write all files of the side.

    Args:
        source: Where the predictions are from.
        predictions: In the order of the examples.
        scorer: The metrics.
        examples: The test set.
        test_data: Where the examples are from.
        output_dir: Gets the files; None: nothing is written.
        overwrite: Replace other answers in `output_dir`.

    Raises:
        ArtefactError: The folder holds other answers, and `overwrite` is false.
        RunLockedError: Another process works in the folder.
    """
    statistics = score_rows(scorer, examples, predictions)
    seconds = read_answer_seconds(source.parent) if source.name == PREDICTIONS_FILE else None
    side = Side(str(source), predictions, statistics, _read_decode_settings(source), seconds)
    if output_dir:
        _copy_side(output_dir, source, scorer, side, examples, test_data, overwrite=overwrite)
    return side


def _copy_side(
    output_dir: Path,
    source: Path,
    scorer: Scorer,
    side: Side,
    examples: Sequence[Example],
    test_data: Path,
    *,
    overwrite: bool,
) -> None:
    if source.resolve() == (output_dir / PREDICTIONS_FILE).resolve():
        # They lie where they belong: only the scores may be others.
        with own_folder(output_dir, LOCK_FILE):
            rows = _all_rows(side)
            in_file = [rows[i] for i, _ in read_answer_log(output_dir, examples)]
            rewrite_answer_log(output_dir, scorer, examples, in_file)
            finish_side(output_dir, scorer, side, examples, test_data)
        return
    identity = {"predictions": file_digest(source), "test_data": file_digest(test_data)}
    with open_answers(output_dir, identity, overwrite=overwrite):
        known = read_answer_record(source.parent) if source.name == PREDICTIONS_FILE else None
        sample = known.trained_sample if known else None
        write_answer_record(output_dir, AnswerRecord(identity, side.decode, {}, sample))
        rewrite_answer_log(output_dir, scorer, examples, _all_rows(side))
        finish_side(output_dir, scorer, side, examples, test_data)


def finish_side(
    output_dir: Path, scorer: Scorer, side: Side, examples: Sequence[Example], test_data: Path
) -> None:
    """Write predictions.json, in the order of the test set, and then metrics.json."""
    sync_file(output_dir / PREDICTIONS_FILE)
    write_json(output_dir / PLAN_FILE, list(answer_records(scorer, examples, _all_rows(side))))
    write_json(
        output_dir / METRICS_FILE,
        {
            **with_nulls(side_metrics(side, scorer, examples)),
            "model": side.name,
            "signatures": scorer.signatures([accepted_answers(example) for example in examples]),
            "decode": side.decode,
            "test_data": describe_test_data(test_data, examples),
            "environment": describe_environment(),
        },
    )


def write_answer_seconds(output_dir: Path, seconds: float, n_answers: int) -> None:
    """Write speed.json: the clock is kept out of the other files, which are always the same."""
    record = {
        "answer_seconds": round(seconds, 3),
        "n_answers": n_answers,
        "answers_per_second": round(n_answers / seconds, 3),
    }
    write_json(output_dir / SPEED_FILE, record)


def read_answer_seconds(output_dir: Path) -> float | None:
    """Wall time of decoding and scoring, over all processes that answered; None if not known."""
    found = _read_object(output_dir / SPEED_FILE).get("answer_seconds")
    return float(found) if isinstance(found, int | float) else None


def describe_test_data(test_data: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """Identify the test data: path, SHA-256 of the bytes, rows, references."""
    n_references = sum(len(accepted_answers(example)) for example in examples)
    return {
        "path": str(test_data),
        "sha256": file_digest(test_data),
        "n_examples": len(examples),
        "n_references": n_references,
    }


def _read_decode_settings(predictions: Path) -> dict[str, Any] | None:
    """What gemtune wrote down beside finished predictions; None where nobody did."""
    decode = _read_object(predictions.with_name(METRICS_FILE)).get("decode")
    is_ours = isinstance(decode, dict) and {"data", "max_new_tokens"} <= decode.keys()
    return decode if is_ours else None


def _read_object(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one for a file of another tool, or none at all."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _all_rows(side: Side) -> ScoredBatch:
    return list(zip(range(len(side.predictions)), side.predictions, side.statistics, strict=True))
