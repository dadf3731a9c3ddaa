"""Running out of memory: noticed, and told as an error that a user can cure."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gemtune.errors import GemtuneError, OutOfMemoryError

# torch has a class for what its own allocators cannot give, and only a text for the rest: the CPU's
# memory, and that of an accelerator which its driver or its matrix library asks for.
_TEXTS = ("can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


@contextmanager
def memory_errors(what: str, *, fix: str) -> Iterator[None]:
    """Turn running out of memory in the block into "out of memory `what`" and how to need less.

    Raises:
        OutOfMemoryError: the CPU's memory or the accelerator's is used up.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = f": {error}" if str(error) else ""
        raise OutOfMemoryError(f"out of memory {what}{reason}", fix=fix) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether the CPU's memory or the accelerator's is used up, and nobody has told it yet."""
    known = (MemoryError, torch.OutOfMemoryError)
    is_told = isinstance(error, GemtuneError)
    return not is_told and (isinstance(error, known) or any(text in str(error) for text in _TEXTS))
