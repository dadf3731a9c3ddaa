"""Examples in tokens, ready to be batched."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemtune.data.examples import EncodedRow, Example
from gemtune.data.kinds import Kind
from gemtune.data.problems import BadInput, ProblemLog

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One example: `token_ids` of shape (T,), and `trained` (T,): is the loss taken on it."""

    id: str
    token_ids: npt.NDArray[np.integer[Any]]
    trained: npt.NDArray[np.bool_]
    is_cut: bool = False
    """It was longer than `data.max_length` and lost its end."""

    @property
    def n_targets(self) -> int:
        """How many tokens the loss is taken on; nothing comes before the first token."""
        return int(self.trained[1:].sum())

    @property
    def n_answer_tokens(self) -> int:
        """Tokens of the last answer, its end token included."""
        untrained = np.flatnonzero(~self.trained)
        return len(self.trained) - (int(untrained[-1]) + 1 if len(untrained) else 0)


def encode_rows(examples: Sequence[Example], encode: Callable[[Example], EncodedRow]) -> list[Row]:
    """Turn examples into rows.

    Raises:
        DataError: an answer has no token left after the cut at `data.max_length`; all such rows
            are listed.
    """
    rows, log = [], ProblemLog()
    for example in examples:
        encoded = encode(example)
        row = Row(
            example.id,
            np.asarray(encoded.token_ids, dtype=np.int32),
            np.asarray(encoded.trained, dtype=np.bool_),
            is_cut=encoded.truncated,
        )
        rows.append(row)
        if not row.n_targets and example.path:
            bad = BadInput(Kind.NO_TARGET_TOKENS, "no token of the answer is left to train on")
            log.add(bad.at(example.path, example.line))
    if log.counts and examples[0].path:
        log.raise_errors(examples[0].path)
    return rows


def warn_about_cut_rows(rows: Sequence[Row], path: Path | None) -> None:
    """Say how many rows of a file lost their end, if any did."""
    if n_cut := sum(row.is_cut for row in rows):
        logger.warning(
            "%d of %d rows of %s exceed data.max_length and lose their end, end token included",
            n_cut,
            len(rows),
            path or "the data",
        )
