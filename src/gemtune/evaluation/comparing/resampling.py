"""Random test sets and random exchanges of sides, in pieces that fit into a cache.

Rows of one group (a document, a dialogue) are drawn or exchanged together, so groups are what is
counted here.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# With its products and the copy that numpy makes of it, a piece stays well below 64 MiB.
_MAX_PIECE_BYTES = 16 * 2**20
_MAX_DRAWS = 2**16


def sum_by_group(statistics: Floats, groups: Sequence[Hashable]) -> Floats:
    """Add up the rows of each group; shape (rows, statistics) to (groups, statistics)."""
    index: dict[Hashable, int] = {}
    members = [index.setdefault(group, len(index)) for group in groups]
    sums = np.zeros((len(index), statistics.shape[1]))
    np.add.at(sums, members, statistics)
    return sums


def generator_of(*seed: int) -> np.random.Generator:
    """Return the generator of every random figure here; the same seed gives the same figures."""
    return np.random.Generator(np.random.PCG64(seed))


def draw_weights(
    generator: np.random.Generator, n_groups: int, n_resamples: int
) -> Iterator[Floats]:
    """Yield how often each group is in each resampled test set, shapes (some resamples, groups)."""
    for size in _piece_sizes(n_resamples, n_groups):
        weights = np.empty((size, n_groups))
        block = max(1, _MAX_DRAWS // n_groups)
        for start in range(0, size, block):
            part = weights[start : start + block]
            drawn = generator.integers(n_groups, size=part.shape)
            drawn += n_groups * np.arange(len(part))[:, None]
            part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)
        yield weights


def draw_exchanges(
    generator: np.random.Generator, n_groups: int, n_resamples: int
) -> Iterator[Floats]:
    """Yield which groups exchange sides (1) or stay (0), shapes (some resamples, groups)."""
    n_bytes = (n_groups + 7) // 8
    for size in _piece_sizes(n_resamples, n_groups):
        packed = np.frombuffer(generator.bytes(size * n_bytes), dtype=np.uint8)
        bits = np.unpackbits(packed.reshape(size, n_bytes), axis=1, count=n_groups)
        yield bits.astype(np.float64)


def _piece_sizes(n_resamples: int, n_groups: int) -> Iterator[int]:
    piece = max(1, _MAX_PIECE_BYTES // (8 * n_groups))
    for start in range(0, n_resamples, piece):
        yield min(piece, n_resamples - start)
