"""The rows that all trials are ranked by."""

from collections.abc import Sequence

import numpy as np

from gemtune.fine_tuning.batches import draw_seed
from gemtune.fine_tuning.rows import Row


def choose_validation_rows(rows: Sequence[Row], n_rows: int, seed: int) -> list[Row]:
    """The first `n_rows` of an order that only the seed decides; all if there are no more.

    A larger number keeps the rows of a smaller one.
    """
    order = np.random.default_rng(draw_seed(seed, "validation")).permutation(len(rows))
    return [rows[i] for i in order[:n_rows].tolist()]
