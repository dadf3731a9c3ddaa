"""Writing a file whole or not at all, so that it outlives a crash and a power cut."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PARTIAL = ".partial"
# How libraries in Rust end the message of an error that has no class of its own in Python.
_ERROR_IN_WORDS = re.compile(r"\(os error (\d+)\)")


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step; a crash leaves the old file or the new one."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step; a crash leaves the old file or the new one.

    Once it returns, the new content is on the disk.

    Raises:
        OSError: it cannot be written; `path` is named.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as indented JSON.

    Raises:
        ValueError: `value` holds a number that is not finite; nothing is written.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Let the block write a file that replaces `path` in one step; if it fails, nothing is left.

    The new content is on the disk then; the name is once `sync_folder` has been called.

    Yields:
        Where to write.

    Raises:
        OSError: it cannot be written; `path` is named, if it is not about another file.
    """
    # Named before it is made, so that no signal can come between the file and its removal.
    partial = path.with_name(f".{path.name}.{os.urandom(8).hex()}{_PARTIAL}")
    with naming(path):
        try:
            yield partial
            sync_file(partial)
            partial.replace(path)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename == str(partial):
                error.filename = str(path)
            raise


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
    with naming(path), path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder (new, renamed, removed) are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with naming(folder):
            os.fsync(descriptor)
    except OSError as error:
        # Some network mounts keep no folders of their own; there is nothing to wait for then.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Remove a file, a link, or a folder with all below it; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in what the system refuses in the block, if the refusal names nothing itself.

    Raises:
        OSError: also for an error of a library that tells of one in words only.
    """
    try:
        yield
    except Exception as error:
        refusal = as_os_error(error)
        if refusal is None:
            raise
        # A full disk is noticed by calls that know no name.
        refusal.filename = refusal.filename or str(path)
        if refusal is error:
            raise
        raise refusal from error


def as_os_error(error: BaseException) -> OSError | None:
    """What the system refused, whichever language the library is written in that says so."""
    if isinstance(error, OSError):
        return error
    told = _ERROR_IN_WORDS.search(str(error))
    return OSError(int(told[1]), os.strerror(int(told[1]))) if told else None
