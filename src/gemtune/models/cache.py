"""What is made once and kept between runs: converted models, data in tokens."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from gemtune.runs.lock import waiting_lock


def cache_dir() -> Path:
    """`$GEMTUNE_CACHE`, else `gemtune` in the user's cache folder."""
    if configured := os.environ.get("GEMTUNE_CACHE"):
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gemtune"


def cached_folder(
    key: str,
    build: Callable[[Path], None],
    *,
    room: str = "models",
    is_whole: Callable[[Path], bool] = Path.exists,
) -> Path:
    """The folder `key` of the cache, made by `build(folder)` if it is not there yet.

    Two processes may ask at once: one builds, the other waits. A build that fails leaves nothing;
    what a killed one left is cleared by the next.

    Args:
        key: Says all that the content depends on.
        build: Fills an empty folder.
        room: The part of the cache that it is kept in.
        is_whole: Whether a folder can be used; one that cannot is made again.
    """
    folders = cache_dir() / room
    folders.mkdir(parents=True, exist_ok=True)
    final = folders / key
    if is_whole(final):
        return final
    with waiting_lock(folders / f"{key}.lock"):
        if not is_whole(final):
            scratch = folders / f".{key}.partial"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            try:
                build(scratch)
            except BaseException:
                shutil.rmtree(scratch)
                raise
            shutil.rmtree(final, ignore_errors=True)
            scratch.rename(final)
    return final
