"""Examples in tokens, ready to be batched."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    token_ids: npt.NDArray[np.int64]
    trained: npt.NDArray[np.bool_]

    @property
    def n_targets(self) -> int:
        """How many tokens the loss is taken on; nothing comes before the first token."""
        return int(self.trained[1:].sum())


def encode_rows(examples: Sequence[Example], encode: Callable[[Example], EncodedRow]) -> list[Row]:
    """Turn examples into rows, with a warning if some of them are cut.

    Raises:
        DataError: an answer has no token left after the cut at `data.max_length`; all such rows
            are listed.
    """
    rows, log, n_cut = [], ProblemLog(), 0
    for example in examples:
        encoded = encode(example)
        row = Row(
            example.id,
            np.asarray(encoded.token_ids, dtype=np.int64),
            np.asarray(encoded.trained, dtype=np.bool_),
        )
        rows.append(row)
        n_cut += encoded.truncated
        if not row.n_targets and example.path:
            bad = BadInput(Kind.NO_TARGET_TOKENS, "no token of the answer is left to train on")
            log.add(bad.at(example.path, example.line))
    if log.counts and examples[0].path:
        log.raise_errors(examples[0].path)
    if n_cut:
        logger.warning(
            "%d of %d rows of %s exceed data.max_length and lose their end, end token included",
            n_cut,
            len(rows),
            examples[0].path or "the data",
        )
    return rows
