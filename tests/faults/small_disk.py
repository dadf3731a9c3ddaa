"""A small disk of its own, to be filled."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, *, mib: int, options: str = "") -> Iterator[Path]:
    """Mount a disk of `mib` MiB at a folder while the block runs.

    Raises:
        RuntimeError: this user may not mount.
    """
    words = ["mount", "-t", "tmpfs", "-o", f"size={mib}m{options}", "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True, text=True)
    if mounted.returncode:
        raise RuntimeError(f"may not mount a small disk: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
