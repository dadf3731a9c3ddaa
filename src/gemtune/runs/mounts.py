"""What kind of disk a folder is on."""

import logging
import re
from pathlib import Path

_MOUNTS = Path("/proc/mounts")
# /proc/mounts writes spaces and the like in octal.
_ESCAPE = re.compile(r"\\([0-7]{3})")

logger = logging.getLogger(__name__)


def warn_about_fuse(run_dir: Path) -> None:
    """Say that a mounted bucket is no place to train in, if `run_dir` is in one."""
    mount = find_fuse_mount(run_dir)
    if mount:
        logger.warning(
            "%s is below the FUSE mount %s: on a mounted bucket a rename is not atomic, so a kill "
            "at the wrong moment can damage a checkpoint; write to gs://BUCKET/FOLDER instead",
            run_dir,
            mount,
        )


def find_fuse_mount(folder: Path, mounts: Path = _MOUNTS) -> Path | None:
    """Find the FUSE mount that a folder is below; None on a real disk, and without /proc.

    Args:
        folder: It need not be there yet.
        mounts: The table of mounted file systems.
    """
    if not mounts.exists():
        return None
    place = folder.resolve()
    found = None
    for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        _, point, kind, *_ = line.split()
        path = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), point))
        # A later mount covers an earlier one at the same place.
        if place.is_relative_to(path) and (found is None or path.is_relative_to(found[0])):
            found = path, kind
    return found[0] if found and found[1].partition(".")[0] == "fuse" else None
