"""Running out of memory: noticed, and told as an error that a user can cure."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gemtune.errors import GemtuneError, ResourceError


@contextmanager
def memory_errors(what: str, *, fix: str) -> Iterator[None]:
    """Turn running out of memory in the block into "out of memory `what`" and how to need less.

    Raises:
        ResourceError: the CPU's memory or the accelerator's is used up.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = f": {error}" if str(error) else ""
        raise ResourceError(f"out of memory {what}{reason}", fix=fix) from error


def is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether the CPU's memory or the accelerator's is used up, and nobody has told it yet."""
    # torch has a class of its own for accelerators, and only a text for the CPU.
    known = (MemoryError, torch.OutOfMemoryError)
    is_told = isinstance(error, GemtuneError)
    return not is_told and (isinstance(error, known) or "can't allocate memory" in str(error))
