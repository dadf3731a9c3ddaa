"""What a model answered to each row of a test set: the record, its file, and the way back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemtune.data.examples import Example
from gemtune.errors import DataError
from gemtune.evaluation.test_set import accepted_answers, input_text

_N_LISTED = 5


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one row; what a foreign file does not say is None."""

    id: str
    text: str
    n_tokens: int | None = None
    finish_reason: str | None = None
    prompt_truncated: int | None = None


def prediction_record(
    example: Example, prediction: Prediction, scores: Mapping[str, float]
) -> dict[str, Any]:
    """Build the row of predictions.json: `input`, `output` (the reference), `prediction` first."""
    return {
        "input": input_text(example),
        "output": example.completion,
        "prediction": prediction.text,
        "id": example.id,
        "references": accepted_answers(example),
        "scores": scores,
        "n_tokens": prediction.n_tokens,
        "finish_reason": prediction.finish_reason,
        "prompt_truncated": prediction.prompt_truncated,
    }


def read_predictions(path: Path, examples: Sequence[Example]) -> list[Prediction]:
    """Read predictions.jsonl and bring it into the order of the test set.

    Needs `id` and `prediction` in each row. An `input` has to be that of the test row with this id.

    Raises:
        DataError: A broken row; ids missing, unknown or twice; rows whose input is another's.
    """
    predictions: dict[str, Prediction] = {}
    by_id = {example.id: example for example in examples}
    repeated, unknown, swapped = [], [], []
    for record in _records(path):
        prediction = Prediction(
            id=record["id"],
            text=record["prediction"],
            n_tokens=record.get("n_tokens"),
            finish_reason=record.get("finish_reason"),
            prompt_truncated=record.get("prompt_truncated"),
        )
        example = by_id.get(prediction.id)
        if example is None:
            unknown.append(prediction.id)
        elif prediction.id in predictions:
            repeated.append(prediction.id)
        elif record.get("input", input_text(example)) != input_text(example):
            swapped.append(prediction.id)
        predictions[prediction.id] = prediction
    missing = [example.id for example in examples if example.id not in predictions]
    _refuse(path, "no prediction for", missing)
    _refuse(path, "more than one prediction for", repeated)
    _refuse(path, "not in the test data:", unknown)
    _refuse(path, "the input differs from the test data (swapped rows?) for", swapped)
    return [predictions[example.id] for example in examples]


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _record(line, f"{path}:{number}")


def _record(line: bytes, place: str) -> dict[str, Any]:
    fix = "evaluate again; a run that was cut off leaves half a line"
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: not JSON: {error}", fix=fix) from None
    if not isinstance(record, dict):
        raise DataError(f"{place}: expected an object", fix=fix)
    for key in ("id", "prediction"):
        if not isinstance(record.get(key), str):
            raise DataError(
                f"{place}: the key {key!r} has to be a text",
                fix="write one object a line with 'id' and 'prediction'",
            )
    return record


def _refuse(path: Path, what: str, ids: Sequence[str]) -> None:
    if not ids:
        return
    listed = ", ".join(repr(found) for found in ids[:_N_LISTED])
    more = f" and {len(ids) - _N_LISTED} more" if len(ids) > _N_LISTED else ""
    raise DataError(
        f"{path}: {what} {listed}{more}",
        fix="compare predictions of the same test data, or evaluate the model again on this one",
    )
