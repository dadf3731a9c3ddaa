"""Running out of memory, told as an error that a user can cure."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gemtune.errors import ResourceError


@contextmanager
def memory_errors(what: str, *, fix: str) -> Iterator[None]:
    """Turn running out of memory in the block into "out of memory `what`" and how to need less.

    Raises:
        ResourceError: the CPU's memory or the accelerator's is used up.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch has a class of its own for accelerators, and only a text for the CPU.
        known = (MemoryError, torch.OutOfMemoryError)
        if not isinstance(error, known) and "can't allocate memory" not in str(error):
            raise
        reason = f": {error}" if str(error) else ""
        raise ResourceError(f"out of memory {what}{reason}", fix=fix) from error
