"""The record of an answer, and the way back from a file of answers, gemtune's or another tool's."""

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gemtune.data.examples import Example
from gemtune.data.json_line import decode_text, parse_object
from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput
from gemtune.errors import DataError
from gemtune.evaluation.answers.alignment import FoundAnswer, align_answers
from gemtune.evaluation.answers.foreign_predictions import read_lm_eval_sample, read_vertex_line
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.test_set import accepted_answers, input_text

_CUT_OFF_FIX = "evaluate again; a run that was cut off leaves half a line"
_MAX_COUNT = 2**53
"""Larger whole numbers are not exact in the sums that scores are made of."""
_KINDS = {
    "prediction": "predictions",
    "resps": "samples of lm-eval",
    "request": "batch predictions of Vertex AI",
    "response": "batch predictions of Vertex AI",
}
"""What a file is, by a key of its rows."""


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
        "reference_loss": prediction.reference_loss,
        "n_reference_tokens": prediction.n_reference_tokens,
    }


def read_predictions(path: Path, examples: Sequence[Example]) -> list[Prediction]:
    """Read a file of answers and bring them into the order of the test set.

    Args:
        path: JSON lines: gemtune's own, any with `id` and `prediction`, `samples_*.jsonl` of
            lm-eval, or what a batch prediction job of Vertex AI wrote.
        examples: The test set.

    Raises:
        DataError: A broken row, rows of two kinds; answers that are missing, there twice or
            of no row; rows whose input is another's. Names file and line.
    """
    answers: list[FoundAnswer] = []
    first: str | None = None
    for line, record in _records(path):
        kind = _kind_of(record, f"{path}:{line}")
        told = kind + _filter_of(record)
        first = first or told
        if told != first:
            raise DataError(
                f"{path}:{line}: a row of {told} in a file of {first}",
                fix="give each side one file of one kind, and of lm-eval's the rows of one filter",
            )
        answer = _read(record, kind, path, line)
        answers.append(answer)
    return align_answers(path, answers, examples)


def read_own_record(record: Mapping[str, Any], place: str) -> Prediction:
    """Read one row of predictions.jsonl.

    Raises:
        DataError: `id`, `prediction` or `finish_reason` is of a wrong type, or a figure is none.
    """
    # As in the test data, an id may be a whole number.
    for key, kinds, what in (("id", (str, int), "text or number"), ("prediction", (str,), "text")):
        if type(record.get(key)) not in kinds:
            raise DataError(
                f"{place}: the key {key!r} has to be a {what}",
                fix="write one object a line with 'id' and 'prediction'",
            )
    finish_reason = record.get("finish_reason")
    if not isinstance(finish_reason, str | None):
        raise DataError(
            f"{place}: 'finish_reason' has to be a text", fix="leave it out where it is not known"
        )
    loss, n_tokens = record.get("reference_loss"), _count(record, "n_reference_tokens", place)
    if loss is not None and not (_is_loss(loss) and n_tokens):
        raise DataError(
            f"{place}: 'reference_loss' has to be a finite number, 0 or more, with "
            "'n_reference_tokens' > 0",
            fix="leave both out where the loss is not known",
        )
    return Prediction(
        id=str(record["id"]),
        text=record["prediction"],
        n_tokens=_count(record, "n_tokens", place),
        finish_reason=finish_reason,
        prompt_truncated=_count(record, "prompt_truncated", place),
        reference_loss=loss,
        n_reference_tokens=n_tokens,
    )


def parse_line(line: bytes, place: str) -> dict[str, Any]:
    """Read a line of JSON that has to hold an object.

    Raises:
        DataError: It does not.
    """
    try:
        return parse_object(decode_text(line.removeprefix(BOM_UTF8)), may_hold_nan=True)
    except BadInput as error:
        place = f"{place}:{error.column}" if error.column else place
        is_cut = error.kind is Kind.JSON_SYNTAX and not line.endswith(b"\n")
        fix = _CUT_OFF_FIX if is_cut else error.fix
        raise DataError(f"{place}: {error.message}", fix=fix) from None


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, parse_line(line, f"{path}:{number}")


def _kind_of(record: Mapping[str, Any], place: str) -> str:
    kind = next((kind for key, kind in _KINDS.items() if key in record), None)
    # Only our own rows may lack the key: then it is named below.
    if kind is None and "id" in record:
        return "predictions"
    if kind is None:
        raise DataError(
            f"{place}: no answer that gemtune knows how to read; found the keys "
            f"{', '.join(map(repr, list(record)[:6])) or 'of nothing'}",
            fix="write one object a line with 'id' and 'prediction'; samples of lm-eval and batch "
            "predictions of Vertex AI are read as they are",
        )
    return kind


def _filter_of(record: Mapping[str, Any]) -> str:
    # lm-eval writes every row once for each filter of the task.
    return f" (filter {record['filter']!r})" if "resps" in record and "filter" in record else ""


def _read(record: Mapping[str, Any], kind: str, path: Path, line: int) -> FoundAnswer:
    match kind:
        case "samples of lm-eval":
            return read_lm_eval_sample(record, path, line)
        case "batch predictions of Vertex AI":
            return read_vertex_line(record, path, line)
        case _:
            prediction = read_own_record(record, f"{path}:{line}")
            asked = record.get("input")
            return FoundAnswer(line, prediction, prediction.id, asked, is_named=True)


def _count(record: Mapping[str, Any], key: str, place: str) -> int | None:
    value = record.get(key)
    if value is None or (type(value) is int and 0 <= value <= _MAX_COUNT):
        return value
    raise DataError(
        f"{place}: {key!r} has to be a whole number", fix="leave it out where it is not known"
    )


def _is_loss(value: object) -> bool:
    # NaN and infinity fail the comparison, and so does a whole number that no float can hold.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value <= sys.float_info.max
