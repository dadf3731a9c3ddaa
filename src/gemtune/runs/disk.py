"""Is there room on the disk for what is about to be written?"""

import shutil
from pathlib import Path

from gemtune.errors import ResourceError


def require_space(folder: Path, n_bytes: int, what: str) -> None:
    """Make sure that the disk of `folder` has room.

    Args:
        folder: Where it will be written; it need not be there yet.
        n_bytes: How much will be written.
        what: What will be written, for the message: "the checkpoints".

    Raises:
        ResourceError: less than that is free.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    n_free = shutil.disk_usage(there).free
    if n_free < n_bytes:
        raise ResourceError(
            f"{folder}: {what} need {_in_words(n_bytes)}, {_in_words(n_free)} are free",
            fix="free some space or choose a folder on another disk, then run it again",
        )


def _in_words(n_bytes: int) -> str:
    return f"{n_bytes:,} bytes ({n_bytes / 2**20:,.1f} MiB)"
