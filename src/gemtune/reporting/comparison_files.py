"""What the folder of a comparison holds: the findings, and the answers of both sides by row."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from gemtune.errors import ArtefactError
from gemtune.evaluation.findings import Comparison, TextSpan
from gemtune.evaluation.side_files import PREDICTIONS_FILE
from gemtune.reporting.read import damaged, fit, read_document, read_lines
from gemtune.runs.run import COMPARISON_FILE

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What comparison.json holds beside the findings."""

    decode: dict[str, dict[str, Any] | None]
    signatures: dict[str, str]
    test_data: dict[str, Any]
    environment: dict[str, Any]
    seconds: dict[str, float | None]
    trained_sample: tuple[TextSpan, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A line of predictions.jsonl."""

    id: str
    input: str
    output: str
    prediction: str
    references: tuple[str, ...]
    scores: dict[str, float | None]
    """None stands for a figure that is not finite."""
    n_tokens: int | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the test set with both answers."""

    id: str
    input: str
    output: str
    references: tuple[str, ...]
    base: Answer
    tuned: Answer


@dataclass(frozen=True, slots=True)
class ComparisonFiles:
    """All of it."""

    found: Comparison
    surroundings: Surroundings
    rows: tuple[Row, ...]


# Where null means that there is nothing to say.
_NULLABLE = {"p_holm", "p_bh", "smallest_visible"}
_DOCUMENT = TypeAdapter(dict[str, Any])
_FOUND = TypeAdapter(Comparison)
_SURROUNDINGS = TypeAdapter(Surroundings)
_ANSWER = TypeAdapter(Answer)


def read_comparison(folder: Path) -> ComparisonFiles:
    """Read comparison.json and the predictions of both sides.

    Raises:
        ArtefactError: A file is missing or damaged, or the files are not of one comparison.
    """
    path = folder / COMPARISON_FILE
    document = read_document(path, _DOCUMENT)
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ArtefactError(
            f"{path}: version {version!r} instead of {SCHEMA_VERSION}",
            fix="compare again with this gemtune; finished predictions can be compared without "
            f"the models: gemtune compare {folder / 'base'} {folder / 'tuned'} TEST.jsonl "
            "--output-dir DIR",
        )
    found = fit(_with_nan(document), _FOUND, str(path))
    if not any(metric.is_primary for metric in found.metrics):
        raise damaged(str(path), "no metric is primary")
    rows = _paired(folder)
    if len(rows) != found.n_examples:
        raise damaged(str(path), f"about {found.n_examples} rows, but {len(rows)} have answers")
    return ComparisonFiles(found, fit(document, _SURROUNDINGS, str(path)), rows)


def _with_nan(document: dict[str, Any]) -> dict[str, Any]:
    """Read null as what it stands for in a file of figures: one that is not finite."""
    differences = [*_objects(document.get("metrics")), *_objects(document.get("slices"))]
    for values in (
        *differences,
        *_objects([(document.get("contamination") or {}).get("without")]),
        *_objects([document.get("base_metrics"), document.get("tuned_metrics")]),
    ):
        values.update({k: math.nan for k, v in values.items() if v is None and k not in _NULLABLE})
    return document


def _objects(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if values else []


def _paired(folder: Path) -> tuple[Row, ...]:
    sides = {role: _answers(folder / role / PREDICTIONS_FILE) for role in ("base", "tuned")}
    base, tuned = sides["base"], sides["tuned"]
    if alone := sorted(base.keys() ^ tuned.keys()):
        raise damaged(str(folder), f"only one side has an answer to row {alone[0]!r}")
    return tuple(_row(answer, tuned[answer.id]) for answer in base.values())


def _answers(path: Path) -> dict[str, Answer]:
    return {answer.id: answer for answer in read_lines(path, _ANSWER)}


def _row(base: Answer, tuned: Answer) -> Row:
    return Row(
        id=base.id,
        input=base.input,
        output=base.output,
        references=base.references or (base.output,),
        base=base,
        tuned=tuned,
    )
