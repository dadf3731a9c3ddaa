"""Where converted models are kept between runs."""

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


def cached_folder(key: str, build: Callable[[Path], None]) -> Path:
    """The folder `key` of the cache, made by `build(folder)` if it is not there yet.

    Two processes may ask at once: one builds, the other waits. A build that fails leaves nothing;
    what a killed one left is cleared by the next.
    """
    models = cache_dir() / "models"
    models.mkdir(parents=True, exist_ok=True)
    final = models / key
    if final.exists():
        return final
    with waiting_lock(models / f"{key}.lock"):
        if not final.exists():
            scratch = models / f".{key}.partial"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            try:
                build(scratch)
            except BaseException:
                shutil.rmtree(scratch)
                raise
            scratch.rename(final)
    return final
