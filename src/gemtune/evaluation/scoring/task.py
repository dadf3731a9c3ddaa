"""What kind of answers a test set wants, told from its references."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from gemtune.errors import ConfigError
from gemtune.evaluation.scoring.exact_match import folded
from gemtune.evaluation.scoring.family import References
from gemtune.evaluation.scoring.json_answer import is_json_container
from gemtune.evaluation.scoring.label import MAX_LABELS, fold_label
from gemtune.evaluation.scoring.number import last_number

Task = Literal["text", "label", "json", "number"]

MAX_LABEL_WORDS = 6

_IS_NUMBER = re.compile(r"\W{0,3}\d[\d.,]*\W{0,3}|.*####[^\w\n]{0,4}\d[\d.,]*\s*", re.DOTALL)


def detect_task(references: References) -> Task:
    """Tell the task from all references.

    `json`: all are JSON objects or lists. `number`: all are a number, or end in "#### number" as
    in GSM8K. `label`: every row has one reference, a short line, and on average at least two rows
    share one. Else `text`.
    """
    texts = [text for accepted in references for text in accepted]
    if all(map(is_json_container, texts)):
        return "json"
    if all(_IS_NUMBER.fullmatch(text.strip()) for text in texts):
        return "number"
    return "label" if _are_labels(references) else "text"


def require_task_fits(task: Task, ids: Sequence[str], references: References) -> None:
    """Refuse a task that a reference does not fit, so that no answer could be right.

    Raises:
        ConfigError: Names the first row.
    """
    if task not in _FITS:
        return
    fits, wanted = _FITS[task]
    for row_id, accepted in zip(ids, references, strict=True):
        if not all(map(fits, accepted)):
            raise ConfigError(
                f"evaluation.task is {task!r}, but a reference of row {row_id!r} is no {wanted}",
                fix="correct the row, or set evaluation.task: text",
            )


_FITS: dict[str, tuple[Callable[[str], bool], str]] = {
    "json": (is_json_container, "JSON object or list"),
    "number": (lambda text: last_number(text) is not None, "text with a number in it"),
}


def _are_labels(references: References) -> bool:
    if any(len(set(accepted)) != 1 or not _is_label(accepted[0]) for accepted in references):
        return False
    n_labels = len({fold_label(accepted[0]) for accepted in references})
    return n_labels <= min(len(references) / 2, MAX_LABELS)


def _is_label(text: str) -> bool:
    return "\n" not in text.strip() and len(folded(text).split()) <= MAX_LABEL_WORDS
