"""Rows that gained and lost most."""

from collections.abc import Sequence

import numpy as np

from gemtune.data.examples import Example
from gemtune.evaluation.comparing.statistics import Floats

N_SHOWN = 20


def biggest_wins(examples: Sequence[Example], gains: Floats) -> tuple[str, ...]:
    """Ids of the rows that gained most, most first, equal ones in the order of the test set.

    Args:
        examples: The test set.
        gains: How much better each row got, shape (rows,).
    """
    order = np.argsort(-gains, kind="stable")[:N_SHOWN]
    return tuple(examples[row].id for row in order if gains[row] > 0)
