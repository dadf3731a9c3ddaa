"""Writing a file whole or not at all, so that it outlives a crash and a power cut."""

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

_PARTIAL = ".partial"


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step; a crash leaves the old file or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a crash leaves the old file or the new one.

    Once it returns, the new content is on the disk.

    Raises:
        OSError: it cannot be written; `filename` is set, to `path` if not to a name beside it.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_PARTIAL)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result should be as readable as any other new file.
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            # A full disk is noticed by calls that know no name.
            error.filename = error.filename or str(path)
        raise


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON.

    Raises:
        ValueError: `value` holds a number that is not finite; nothing is written.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def partial_path(path: Path) -> Path:
    """Where the only writer of `path` may collect its new content."""
    return path.with_name(f".{path.name}{_PARTIAL}")


def remove_partial_files(folder: Path) -> None:
    """Remove what killed writes left in `folder`; nobody else may be writing there."""
    for path in folder.glob(f".*{_PARTIAL}"):
        path.unlink()


def make_folder(folder: Path) -> None:
    """Make a folder with its parents; once it returns, their names are on the disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Return once the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder (new, renamed, removed) are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network mounts keep no folders of their own; there is nothing to wait for then.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
