"""Which rows go through the model when, and in what shape.

The order is a pure function of (seed, epoch, index): nothing has to be stored or replayed to know
which rows belong to a step.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gemtune.fine_tuning.rows import Row


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows for one pass through the model, on the CPU.

    `token_ids` and `is_target` have shape (B, T); `is_target[b, t]` says that token t + 1 of line b
    is to be predicted at position t. Either every row has a line of its own, padded at the right
    (no attention mask: in a causal model no real token sees the padding behind it), or all rows
    lie end to end in one line, which takes an attention that keeps them apart.
    """

    token_ids: Tensor
    is_target: Tensor
    lengths: list[int]
    """Tokens of each row."""


def draw_seed(*parts: int | str) -> int:
    """A seed that is a pure function of its parts, below 2**63."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def n_steps_per_epoch(n_rows: int, effective_batch: int) -> int:
    """Optimizer steps that see every row once; the last one may hold fewer rows."""
    return -(-n_rows // effective_batch)


def step_rows(n_rows: int, effective_batch: int, step: int, seed: int) -> list[int]:
    """Indices of the rows of an optimizer step (0-based) in a new random order every epoch."""
    epoch, position = divmod(step, n_steps_per_epoch(n_rows, effective_batch))
    order = np.random.default_rng(draw_seed(seed, "order", epoch)).permutation(n_rows)
    start = position * effective_batch
    return order[start : start + effective_batch].tolist()


def micro_batches(rows: Sequence[Row], max_tokens: int, *, packed: bool) -> Iterator[list[Row]]:
    """Cut rows, longest first, into groups of at most `max_tokens` tokens.

    What counts are the tokens in the model: with padding, or, where rows are `packed` end to end,
    without. A row that is longer than `max_tokens` makes a group of its own.
    """
    group: list[Row] = []
    for row in sorted(rows, key=lambda row: -len(row.token_ids)):
        n_packed = sum(len(other.token_ids) for other in group) + len(row.token_ids)
        n_padded = len(group[0].token_ids) * (len(group) + 1) if group else n_packed
        if group and (n_packed if packed else n_padded) > max_tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def collate(rows: Sequence[Row], *, packed: bool) -> Batch:
    """Lay rows side by side, or, `packed`, end to end."""
    lengths = [len(row.token_ids) for row in rows]
    width = sum(lengths) if packed else max(lengths)
    # The padding token is 0 and never looked at.
    token_ids = torch.zeros((1 if packed else len(rows), width), dtype=torch.long)
    is_target = torch.zeros(token_ids.shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        line, start = (0, sum(lengths[:i])) if packed else (i, 0)
        token_ids[line, start : start + lengths[i]] = torch.from_numpy(row.token_ids)
        is_target[line, start : start + lengths[i] - 1] = torch.from_numpy(row.trained[1:])
    return Batch(token_ids, is_target, lengths)
