"""`predictions.jsonl`: answers, a block of rows at a time, and what of it outlives a kill."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from gemtune.data.examples import Example
from gemtune.errors import DataError
from gemtune.evaluation.answers.predictions import parse_line, prediction_record, read_own_record
from gemtune.evaluation.answers.record import PREDICTIONS_FILE
from gemtune.evaluation.json_values import with_nulls
from gemtune.evaluation.prediction import Prediction
from gemtune.evaluation.scoring.scorer import Scorer
from gemtune.evaluation.side import ScoredBatch
from gemtune.runs.files import write_text
from gemtune.runs.signals import uninterrupted

IndexedPredictions = list[tuple[int, Prediction]]
"""(Index of the example, its answer)."""


def read_answer_log(folder: Path, examples: Sequence[Example]) -> IndexedPredictions:
    """Read the rows that are whole, in the order of the file, up to the first that is not."""
    index = {example.id: i for i, example in enumerate(examples)}
    kept: dict[int, Prediction] = {}
    for line in _whole_lines(folder / PREDICTIONS_FILE):
        try:
            prediction = read_own_record(parse_line(line, ""), "")
        except DataError:
            # After a power cut there may be anything.
            break
        row = index.get(prediction.id)
        if row is None or row in kept:
            break
        kept[row] = prediction
    return list(kept.items())


def keep_whole_blocks(
    kept: IndexedPredictions, blocks: Iterable[Sequence[int]]
) -> IndexedPredictions:
    """Leave out the rows of a block that was cut off, and all after it."""
    rows, n_kept = [row for row, _ in kept], 0
    for block in blocks:
        if sorted(rows[n_kept : n_kept + len(block)]) != sorted(block):
            break
        n_kept += len(block)
    return kept[:n_kept]


def rewrite_answer_log(
    folder: Path, scorer: Scorer, examples: Sequence[Example], batch: ScoredBatch
) -> None:
    """Replace predictions.jsonl in one step."""
    write_text(folder / PREDICTIONS_FILE, _lines(scorer, examples, batch))


def append_answers(
    folder: Path, scorer: Scorer, examples: Sequence[Example], batch: ScoredBatch
) -> None:
    """Append the rows of a finished block to predictions.jsonl; a signal leaves no half line."""
    text = _lines(scorer, examples, batch)
    with uninterrupted(), (folder / PREDICTIONS_FILE).open("ab") as log:
        log.write(text.encode())


def answer_records(
    scorer: Scorer, examples: Sequence[Example], batch: ScoredBatch
) -> Iterable[dict[str, object]]:
    """The rows as they stand in predictions.jsonl and predictions.json."""
    names = [metric.name for metric in scorer.metrics]
    for index, prediction, statistics in batch:
        scores = dict(zip(names, scorer.rows(statistics[None])[0].tolist(), strict=True))
        yield with_nulls(prediction_record(examples[index], prediction, scores))


def _lines(scorer: Scorer, examples: Sequence[Example], batch: ScoredBatch) -> str:
    return "".join(
        json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
        for record in answer_records(scorer, examples, batch)
    )


def _whole_lines(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    return [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
