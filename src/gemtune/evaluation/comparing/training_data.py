"""The data that a tuned model was trained on, to look for test rows in it."""

import logging
from pathlib import Path

from gemtune.errors import UsageError
from gemtune.runs.plain_files import read_plain_json
from gemtune.runs.run import RUN_FILE, file_digest

logger = logging.getLogger(__name__)


def find_train_data(tuned: str | Path, named: Path | None) -> Path | None:
    """Choose the training data: what the user named, or what the run folder tells of.

    Args:
        tuned: A model; if it is the folder of a run, run.json knows the data.
        named: What the user named.

    Returns:
        A file; None where there is none, or the recorded one has another content by now.

    Raises:
        UsageError: The file that the user named is not there.
    """
    if named is not None:
        if not named.is_file():
            raise UsageError(
                f"{named}: there is no such file of training data", fix="check --train-data"
            )
        return named
    try:
        match read_plain_json(Path(tuned) / RUN_FILE):
            case {"data": {"train": {"path": str(path), "sha256": str(digest)}}}:
                recorded = Path(path)
            case _:
                return None
    except (OSError, ValueError):
        return None
    if recorded.is_file() and file_digest(recorded) == digest:
        return recorded
    logger.warning(
        "the training data of %s is not at %s any more, or has changed: test rows are not looked "
        "for in it; name it with --train-data",
        tuned,
        recorded,
    )
    return None
