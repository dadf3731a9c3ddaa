"""A model is loaded and answers what is not answered yet."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gemtune.evaluation.answers.decoding import (
    AnsweredBlock,
    Decoding,
    answer_blocks,
    plan_decoding,
    settled_settings,
    trained_sample,
)
from gemtune.evaluation.answers.engine import require_engine
from gemtune.evaluation.answers.log import (
    IndexedPredictions,
    append_answers,
    keep_whole_blocks,
    rewrite_answer_log,
)
from gemtune.evaluation.answers.record import (
    AnswerRecord,
    changed_answers_error,
    write_answer_record,
)
from gemtune.evaluation.answers.task import AnswerTask, score_answers, side_of
from gemtune.evaluation.side import ScoredRow, Side
from gemtune.evaluation.side_files import read_answer_seconds, write_answer_seconds
from gemtune.models.hardware import describe_hardware
from gemtune.models.load import load_model_for_generation
from gemtune.models.memory import memory_errors
from gemtune.runs.changes import list_changes
from gemtune.runs.environment import describe_environment

logger = logging.getLogger(__name__)

OnBlock = Callable[[AnsweredBlock], None]


def answer_all(task: AnswerTask) -> Side:
    """Answer the whole test set, and write nothing."""
    decoding = _load(task)
    scored: list[ScoredRow] = []
    started = time.perf_counter()
    _decode(task, decoding, [], lambda block: scored.extend(score_answers(task, block)))
    return side_of(task, scored, decoding.settings, time.perf_counter() - started)


def answer_rest(
    task: AnswerTask,
    folder: Path,
    record: AnswerRecord | None,
    identity: Mapping[str, Any],
    kept: IndexedPredictions,
) -> Side:
    """Answer what is missing in a folder, and keep every block as soon as it is there.

    Args:
        task: What is to be done.
        folder: Owned by the caller; gets evaluation.json and predictions.jsonl.
        record: What is known of the answers that are there; None: there are none.
        identity: What they have to be made with.
        kept: The answers that are there, in the order of the file.

    Raises:
        ArtefactError: The model cannot be used, or answers otherwise on this machine.
        MissingExtraError: The engine is not installed.
        ResourceError: Out of memory or disk.
    """
    decoding = _load(task)
    if record is None:
        write_answer_record(folder, _describe(decoding, identity))
    else:
        _require_same_settings(folder, record, decoding)
        kept = keep_whole_blocks(kept, decoding.blocks)
        logger.info("%s: going on after %d of %d answers", folder, len(kept), len(task.examples))
    scored = list(score_answers(task, kept))
    rewrite_answer_log(folder, task.scorer, task.examples, scored)
    seconds_before, started = read_answer_seconds(folder) or 0.0, time.perf_counter()

    def keep(block: AnsweredBlock) -> None:
        found = score_answers(task, block)
        append_answers(folder, task.scorer, task.examples, found)
        scored.extend(found)
        seconds = seconds_before + time.perf_counter() - started
        write_answer_seconds(folder, seconds, len(scored))

    _decode(task, decoding, kept, keep)
    return side_of(task, scored, decoding.settings, read_answer_seconds(folder))


def _load(task: AnswerTask) -> Decoding:
    require_engine(task.wanted["engine"])
    with memory_errors("while loading the model", fix="choose a smaller model"):
        loaded = load_model_for_generation(
            task.model, revision=task.revision, precision=task.wanted["precision"]
        )
    settings = settled_settings(loaded, task.examples, task.wanted)
    return plan_decoding(task.model, task.revision, loaded, task.examples, settings)


def _decode(task: AnswerTask, decoding: Decoding, kept: IndexedPredictions, keep: OnBlock) -> None:
    n_done = len(kept)

    def note(block: AnsweredBlock) -> None:
        nonlocal n_done
        keep(block)
        n_done += len(block)
        _tell(task, n_done)

    if kept:
        _tell(task, n_done)
    with memory_errors(
        f"with batches of {decoding.settings['batch_tokens']} tokens",
        fix="lower evaluation.batch_tokens or evaluation.max_new_tokens",
    ):
        answer_blocks(decoding, task.examples, frozenset(i for i, _ in kept), note)


def _tell(task: AnswerTask, n_done: int) -> None:
    if task.on_progress is not None:
        task.on_progress(n_done, len(task.examples))


def _describe(decoding: Decoding, identity: Mapping[str, Any]) -> AnswerRecord:
    sample: Sequence[Mapping[str, Any]] = [asdict(span) for span in trained_sample(decoding)]
    return AnswerRecord(identity, decoding.settings, _surroundings(), sample)


def _require_same_settings(folder: Path, record: AnswerRecord, decoding: Decoding) -> None:
    """Half of the answers in bf16 and half in fp32 are answers of no model at all."""
    if changes := list_changes(record.decode or {}, decoding.settings):
        raise changed_answers_error(folder, changes)
    for change in list_changes(record.surroundings, _surroundings()):
        logger.warning("%s since the first answers: the last digits may differ", change)


def _surroundings() -> dict[str, Any]:
    environment = describe_environment()
    return {"python": environment["python"], **environment["packages"], **describe_hardware()}
