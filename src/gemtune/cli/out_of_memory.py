"""Out of memory, in whatever words a library says so."""

import resource

from gemtune.errors import GemtuneError, ResourceError

# A limit on the address space stops threads and shared libraries before anything else.
_WORDS = (
    "can't start new thread",
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "failed to map segment",
    "cublas_status_alloc_failed",
)


def out_of_memory_error(error: BaseException) -> ResourceError | None:
    """What to tell the user if memory was short; None if something else went wrong."""
    if isinstance(error, GemtuneError) or not _is_about_memory(error):
        return None
    told = str(error).strip()
    return ResourceError(
        f"out of memory: {told.splitlines()[-1]}" if told else "out of memory",
        fix="use a smaller model or a machine with more memory, or raise the limits of this shell "
        "(`ulimit -v`, `ulimit -u`)",
    )


def _is_about_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, SystemError):
        # CPython loses the MemoryError where no memory is left to make one. Without a limit a fault
        # of a C extension is as likely.
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        return limit != resource.RLIM_INFINITY and "exception set" in str(error)
    told = str(error).lower()
    return isinstance(error, RuntimeError | ImportError | OSError) and any(
        words in told for words in _WORDS
    )
