"""The manifest of a folder: which files belong to it and what is in them."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemtune.runs.files import write_bytes
from gemtune.runs.plain_files import open_plain, parse_json

MANIFEST_FILE = "manifest.json"
STATE_FILE = "state.json"
"""Only checkpoints have one; a folder whose manifest lists it holds nothing else."""

_VERSION = 1
_MAX_MANIFEST_BYTES = 2**24
_MAX_NAME_SHOWN = 200


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest says of a file."""

    n_bytes: int
    sha256: str
    """In lower-case hexadecimal."""


def write_manifest(folder: Path, names: Iterable[Path] | None = None) -> None:
    """Write `manifest.json`; once it returns, the manifest is on the disk.

    Args:
        folder: What the manifest is about.
        names: The files to list, relative to `folder`; all below it when None.

    Raises:
        ValueError: one of the files is a link, a pipe or a device.
    """
    if names is None:
        paths = {name: path for name, path in _all_files(folder) if name != MANIFEST_FILE}
    else:
        paths = {name.as_posix(): folder / name for name in names}
    write_bytes(folder / MANIFEST_FILE, _encode({name: _read(paths[name]) for name in paths}))


def find_damage(folder: Path) -> list[str]:
    """Compare the files of a folder with its manifest.

    Names in the manifest are only ever compared with those in the folder, so none can lead out of
    it; links are not followed.

    Returns:
        What is wrong, a line a file, each beginning with the file's name; empty when every listed
        file is as listed and, in a checkpoint, there is no other one.
    """
    try:
        with _bad_disk_is_damage():
            listed = _read_manifest(folder)
    except ValueError as error:
        return [f"{MANIFEST_FILE}: {error}"]
    found = dict(_all_files(folder))
    damage = [
        f"{_shown(name)}: {wrong}"
        for name, entry in sorted(listed.items())
        if (wrong := _compare(found.get(name), entry))
    ]
    if STATE_FILE in listed:
        unknown = found.keys() - listed.keys() - {MANIFEST_FILE}
        damage += [f"{_shown(name)}: not in the manifest" for name in sorted(unknown)]
    return damage


def listed_files(folder: Path) -> list[str]:
    """The names that the manifest of a folder lists; none when it cannot be read."""
    try:
        with _bad_disk_is_damage():
            return list(_read_manifest(folder))
    except ValueError:
        return []


@contextmanager
def _bad_disk_is_damage() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Any other error (permissions, too many open files) says nothing about the file.
        if error.errno != errno.EIO:
            raise
        raise ValueError("the disk cannot read it") from error


def _compare(path: Path | None, entry: FileEntry) -> str:
    if path is None:
        return "missing"
    try:
        with _bad_disk_is_damage():
            found = _read(path, expected_bytes=entry.n_bytes)
    except ValueError as error:
        return str(error)
    if found.n_bytes != entry.n_bytes:
        return f"{found.n_bytes:,} bytes instead of {entry.n_bytes:,}"
    return "" if found == entry else "the content has changed"


def _read(path: Path, *, expected_bytes: int | None = None) -> FileEntry:
    """Measure a file; one of another size than expected need not be read to the end."""
    with open_plain(path) as file:
        n_bytes = os.fstat(file.fileno()).st_size
        if expected_bytes is not None and n_bytes != expected_bytes:
            return FileEntry(n_bytes, "")
        return FileEntry(n_bytes, hashlib.file_digest(file, "sha256").hexdigest())


def _read_manifest(folder: Path) -> dict[str, FileEntry]:
    content = _manifest_bytes(folder / MANIFEST_FILE)
    match parse_json(content):
        case {"version": int(version)} if version != _VERSION:
            raise ValueError(
                f"version {version} instead of {_VERSION}: damaged, or of a newer gemtune"
            )
        case {"files": dict(files)}:
            entries = {name: _parse(entry) for name, entry in files.items()}
        case _:
            raise ValueError("not a manifest")
    # One text for one meaning: then no changed byte can go unseen, nor a name listed twice.
    if content != _encode(entries):
        raise ValueError("the content has changed")
    return entries


def _manifest_bytes(path: Path) -> bytes:
    with open_plain(path) as file:
        content = file.read(_MAX_MANIFEST_BYTES + 1)
    if len(content) > _MAX_MANIFEST_BYTES:
        raise ValueError(f"more than {_MAX_MANIFEST_BYTES:,} bytes")
    return content


def _parse(entry: Any) -> FileEntry:
    match entry:
        case {"bytes": int(n_bytes), "sha256": str(digest)}:
            return FileEntry(n_bytes, digest)
        case _:
            raise ValueError("not a manifest")


def _encode(entries: Mapping[str, FileEntry]) -> bytes:
    files = {
        name: {"bytes": entries[name].n_bytes, "sha256": entries[name].sha256}
        for name in sorted(entries)
    }
    return (json.dumps({"version": _VERSION, "files": files}, indent=2) + "\n").encode("ascii")


def _all_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """All that is below a folder except for folders, by name relative to it."""
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                yield path.relative_to(folder).as_posix(), path


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        # A run that goes on may have removed the checkpoint that somebody looks at.
        return []


def _shown(name: str) -> str:
    """A name that cannot play tricks on a terminal."""
    return (name if name.isprintable() else ascii(name))[:_MAX_NAME_SHOWN]
