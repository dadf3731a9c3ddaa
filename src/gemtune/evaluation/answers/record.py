"""`evaluation.json`: whose answers a folder holds and what they depend on; it is there first.

The same command goes on with what is there; anything else would mix the answers of two models.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gemtune.errors import ArtefactError, UsageError
from gemtune.runs.changes import Change, list_changes
from gemtune.runs.files import write_json
from gemtune.runs.owned_folder import own_folder
from gemtune.runs.plain_files import parse_json

logger = logging.getLogger(__name__)

RECORD_FILE = "evaluation.json"
LOCK_FILE = "evaluation.lock"
PREDICTIONS_FILE = "predictions.jsonl"
PLAN_FILE = "predictions.json"
METRICS_FILE = "metrics.json"
SPEED_FILE = "speed.json"
_SCHEMA_VERSION = 1
# In the order of clearing: without the record nobody can tell what the others are.
_CONTENTS = (METRICS_FILE, PLAN_FILE, PREDICTIONS_FILE, SPEED_FILE, RECORD_FILE)
_RESULTS = (PREDICTIONS_FILE, METRICS_FILE)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What decides every byte of the answers in a folder."""

    identity: Mapping[str, Any]
    """Digests of model and test data, and what the config asks for."""
    decode: Mapping[str, Any] | None
    """How the model answers, settled; None for answers that were copied from a file."""
    surroundings: Mapping[str, Any]
    """Versions, threads and hardware, which decide the last digits."""
    trained_sample: Sequence[Mapping[str, Any]] | None
    """One row in pieces of text: what the model was taught and what it only saw."""


@contextmanager
def open_answers(
    folder: Path, identity: Mapping[str, Any], *, overwrite: bool
) -> Iterator[AnswerRecord | None]:
    """Own a folder of answers while the block runs, and refuse to mix them with others.

    Yields:
        What is known of the answers that are there; None when there are none yet.

    Raises:
        RunLockedError: Another process works in the folder.
        ArtefactError: It holds answers of something else, and `overwrite` is false.
        UsageError: It holds predictions that gemtune did not write, and `overwrite` is false.
    """
    with own_folder(folder, LOCK_FILE):
        if overwrite:
            for name in _CONTENTS:
                (folder / name).unlink(missing_ok=True)
        require_same_answers(folder, identity)
        yield _record_of_answers(folder)


def require_same_answers(folder: Path, identity: Mapping[str, Any]) -> None:
    """Refuse a folder whose answers differ from `identity` in one of the fields given.

    Raises:
        ArtefactError: They do, or evaluation.json is damaged.
        UsageError: There are predictions of somebody else.
    """
    record = _record_of_answers(folder)
    if record is None:
        _refuse_other_results(folder)
        return
    known = {name: record.identity.get(name) for name in identity}
    # Fields that are not known yet are looked at when they are.
    if changes := list_changes(known, identity):
        raise changed_answers_error(folder, changes)


def changed_answers_error(folder: Path, changes: Sequence[Change]) -> ArtefactError:
    """Say that a folder holds the answers of something else, what differs, and the ways out."""
    return ArtefactError(
        f"{folder} holds answers that were made with something else: "
        f"{'; '.join(map(str, changes))}",
        fix="name another folder with --output-dir, or add --overwrite (in Python overwrite=True) "
        "to start over",
    )


def write_answer_record(folder: Path, record: AnswerRecord) -> None:
    """Write evaluation.json."""
    write_json(folder / RECORD_FILE, {"schema_version": _SCHEMA_VERSION, **asdict(record)})


def read_answer_record(folder: Path) -> AnswerRecord | None:
    """Read evaluation.json; None where there is none.

    Raises:
        ArtefactError: It is damaged.
    """
    path = folder / RECORD_FILE
    try:
        match parse_json(path.read_bytes()):
            case {
                "identity": dict(identity),
                "decode": dict() | None as decode,
                "surroundings": dict(surroundings),
                "trained_sample": list() | None as sample,
            }:
                return AnswerRecord(identity, decode, surroundings, sample)
            case _:
                reason = "it does not say what the answers were made with"
    except FileNotFoundError:
        return None
    except ValueError as error:
        reason = str(error)
    raise ArtefactError(
        f"{path} is damaged, so these answers cannot be gone on with: {reason}",
        fix="choose another output folder, or add --overwrite (in Python overwrite=True) to start "
        "over",
    )


def _record_of_answers(folder: Path) -> AnswerRecord | None:
    """A run that failed before its first answers left nothing that could be mixed with others."""
    record = read_answer_record(folder)
    return record if any(_is_filled(folder / name) for name in _RESULTS) else None


def _refuse_other_results(folder: Path) -> None:
    for name in _RESULTS:
        if _is_filled(folder / name):
            raise UsageError(
                f"{folder} holds {name} and no {RECORD_FILE} that says what it is",
                fix="choose another output folder; --overwrite (in Python overwrite=True) would "
                "write over what is there",
            )


def _is_filled(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
