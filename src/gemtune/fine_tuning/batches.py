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
    """Rows side by side, padded at the right.

    `token_ids` and `is_target` have shape (B, T); `is_target[b, t]` says that token t + 1 of row b
    is to be predicted at position t. There is no attention mask: in a causal model no real token
    can see the padding behind it.
    """

    token_ids: Tensor
    is_target: Tensor
    n_tokens: int
    """Real tokens, padding not counted."""


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


def micro_batches(rows: Sequence[Row], max_tokens: int) -> Iterator[list[Row]]:
    """Cut rows, longest first, into groups of at most `max_tokens` padded tokens.

    A row that is longer than `max_tokens` makes a group of its own.
    """
    by_length = sorted(rows, key=lambda row: -len(row.token_ids))
    start = 0
    while start < len(by_length):
        size = max(1, max_tokens // len(by_length[start].token_ids))
        yield by_length[start : start + size]
        start += size


def collate(rows: Sequence[Row]) -> Batch:
    """Lay rows side by side; the padding token is 0 and never looked at."""
    longest = max(len(row.token_ids) for row in rows)
    token_ids = torch.zeros((len(rows), longest), dtype=torch.long)
    is_target = torch.zeros((len(rows), longest), dtype=torch.bool)
    for i, row in enumerate(rows):
        length = len(row.token_ids)
        token_ids[i, :length] = torch.from_numpy(row.token_ids)
        is_target[i, : length - 1] = torch.from_numpy(row.trained[1:])
    return Batch(token_ids, is_target, sum(len(row.token_ids) for row in rows))
