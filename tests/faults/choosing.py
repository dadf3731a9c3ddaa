"""A few out of many."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(found: Sequence[T], n: int) -> list[T]:
    """At most `n` of them, from all parts of the sequence."""
    if len(found) <= n:
        return list(found)
    return [found[int((i + 0.5) * len(found) / n)] for i in range(n)]
