"""Writing a file whole or not at all."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step; a crash leaves the old file or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a crash leaves the old file or the new one.

    Raises:
        OSError: it cannot be written; `filename` is set, to `path` if not to a name beside it.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result should be as readable as any other new file.
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
