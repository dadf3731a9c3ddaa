"""Random masks on a CPU at a small part of PyTorch's price.

PyTorch draws one number after another, which costs more than the matrix products of the adapter
that a mask guards. Here one 64-bit draw decides four elements.
"""

import numpy as np
import torch
from torch import Tensor

_N_LEVELS = 2**16  # the probability is rounded to a multiple of 1 / 65536


def draw_mask(shape: torch.Size, p: float) -> Tensor:
    """A mask of `shape` that is true with probability 1 - p; repeats with `torch.manual_seed`."""
    n = shape.numel()
    generator = np.random.SFC64(int(torch.randint(2**63 - 1, ())))
    levels = np.asarray(generator.random_raw(-(-n // 4))).view(np.uint16)[:n]
    return torch.from_numpy(levels >= round(p * _N_LEVELS)).view(shape)
