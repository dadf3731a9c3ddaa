"""Probabilities corrected for having tested several times.

Sources: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure"; Benjamini and
Hochberg 1995, "Controlling the False Discovery Rate".
"""

from collections.abc import Sequence

import numpy as np


def holm(probabilities: Sequence[float]) -> list[float]:
    """Bound the chance of even one false finding, whatever depends on what; order is kept."""
    values = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * steps))
    return corrected.tolist()


def benjamini_hochberg(probabilities: Sequence[float]) -> list[float]:
    """Bound the share of false findings among the findings; order is kept."""
    values = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    steps = len(values) / np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.minimum.accumulate(values[order] * steps))
    return corrected.tolist()
