"""What a disk may hold after the power failed: a replay of recorded calls.

A write is on the disk for sure once its file was synced; a new, renamed or removed name once its
folder was synced. Before that any part of it may be there: the older calls of a folder without the
newer ones, whole files, cut files and files full of zeros. (After "All File Systems Are Not Created
Equal", OSDI 2014; names of one folder are taken to be kept in order, as file systems do.)
"""

import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults.syscalls import Call

RECORDED = (
    "openat,write,pwrite64,writev,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,"
    "fsync,fdatasync,ftruncate,copy_file_range,sendfile,close,lseek"
)
RECORDING_OPTIONS = ("-e", f"trace={RECORDED}", "-xx", "-s", "100000000")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"(\d+)<")


@dataclass(slots=True, eq=False)
class File:
    """Its bytes, and those that are on the disk for sure."""

    content: bytes = b""
    synced: bytes = b""


@dataclass(slots=True, eq=False)
class Folder:
    """Its names, those that are on the disk for sure, and the changes between the two."""

    names: dict[str, "File | Folder"] = field(default_factory=dict)
    synced: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[dict[str, "File | Folder"]] = field(default_factory=list)
    """The names after every change that was not synced yet."""

    def change(self) -> None:
        """Note a change of `names`."""
        self.pending.append(dict(self.names))

    def sync(self) -> None:
        """Everything so far is on the disk."""
        self.synced = dict(self.names)
        self.pending.clear()


@dataclass(slots=True)
class _Open:
    file: File | Folder
    offset: int = 0
    appends: bool = False


class Disk:
    """The folder `root` while calls are replayed."""

    def __init__(self, root: Path) -> None:
        """An empty folder."""
        self._root, self._top = root, Folder()
        self._open: dict[int, _Open] = {}

    def replay(self, calls: Sequence[Call]) -> None:
        """Let the calls happen; those outside `root` and failed ones are ignored."""
        for call in calls:
            if call.result >= 0:
                getattr(self, f"_{call.name}", self._unknown)(call)

    def after_power_loss(self, chosen: random.Random) -> dict[str, bytes | None]:
        """One of the states that may be found: content by path, None for a folder."""
        return dict(_remains(self._top, "", chosen))

    def contents(self) -> dict[str, bytes | None]:
        """What a program sees: content by path, None for a folder."""
        return dict(_all_below(self._top, ""))

    def _unknown(self, call: Call) -> None:
        assert call.name not in RECORDED.split(",") or not self._paths(call), call

    def _paths(self, call: Call) -> list[str]:
        """The paths below `root` among the arguments, relative to it."""
        prefix = f"{self._root}/".encode()
        texts = _strings(call)
        return [text[len(prefix) :].decode() for text in texts if text.startswith(prefix)]

    def _parent(self, path: str) -> tuple[Folder, str]:
        *above, name = path.split("/")
        folder = self._top
        for part in above:
            below = folder.names[part]
            assert isinstance(below, Folder)
            folder = below
        return folder, name

    def _openat(self, call: Call) -> None:
        self._open.pop(call.result, None)
        above = self._handle(call)
        if above and isinstance(above.file, Folder):
            self._open[call.result] = _Open(above.file.names[_name(call)])
        if _strings(call) == [os.fsencode(self._root)]:
            self._open[call.result] = _Open(self._top)
        for path in self._paths(call):
            parent, name = self._parent(path)
            if name not in parent.names:
                parent.names[name] = File()
                parent.change()
            found = parent.names[name]
            if "O_TRUNC" in call.arguments and isinstance(found, File):
                found.content = b""
            self._open[call.result] = _Open(found, appends="O_APPEND" in call.arguments)

    def _handle(self, call: Call) -> _Open | None:
        match = _DESCRIPTOR.match(call.arguments)
        return self._open.get(int(match[1])) if match else None

    def _write(self, call: Call) -> None:
        handle = self._handle(call)
        if handle is None or not isinstance(handle.file, File):
            return
        data = b"".join(_strings(call))[: call.result]
        content = handle.file.content
        start = len(content) if handle.appends else handle.offset
        handle.file.content = (
            content[:start].ljust(start, b"\0") + data + content[start + len(data) :]
        )
        handle.offset = start + len(data)

    _writev = _write

    def _lseek(self, call: Call) -> None:
        if handle := self._handle(call):
            handle.offset = call.result

    def _sendfile(self, call: Call) -> None:
        """To the first descriptor from the second, which stands where it was last read."""
        numbers = [int(found) for found in _DESCRIPTOR.findall(call.arguments)]
        target, source = self._open.get(numbers[0]), self._open.get(numbers[1])
        if target is None or call.result == 0:
            return
        assert source, "copied from outside of the recorded folder"
        assert isinstance(target.file, File)
        assert isinstance(source.file, File)
        part = source.file.content[source.offset : source.offset + call.result]
        target.file.content = target.file.content[: target.offset] + part
        target.offset += len(part)
        source.offset += len(part)

    def _ftruncate(self, call: Call) -> None:
        handle = self._handle(call)
        if handle and isinstance(handle.file, File):
            length = int(call.arguments.rpartition(",")[2])
            handle.file.content = handle.file.content[:length].ljust(length, b"\0")

    def _close(self, call: Call) -> None:
        match = _DESCRIPTOR.match(call.arguments)
        self._open.pop(int(match[1]) if match else -1, None)

    def _fsync(self, call: Call) -> None:
        handle = self._handle(call)
        if handle is None:
            return
        if isinstance(handle.file, File):
            handle.file.synced = handle.file.content
        else:
            handle.file.sync()

    _fdatasync = _fsync

    def _mkdir(self, call: Call) -> None:
        for path in self._paths(call):
            parent, name = self._parent(path)
            parent.names[name] = Folder()
            parent.change()

    _mkdirat = _mkdir

    def _unlink(self, call: Call) -> None:
        for path in self._paths(call):
            parent, name = self._parent(path)
            del parent.names[name]
            parent.change()

    _rmdir = _unlink

    def _unlinkat(self, call: Call) -> None:
        """`shutil.rmtree` names files relative to a descriptor of their folder."""
        handle = self._handle(call)
        if handle is None:
            self._unlink(call)
            return
        assert isinstance(handle.file, Folder)
        del handle.file.names[_name(call)]
        handle.file.change()

    def _rename(self, call: Call) -> None:
        old, new = self._paths(call)
        (old_parent, old_name), (new_parent, new_name) = self._parent(old), self._parent(new)
        new_parent.names[new_name] = old_parent.names.pop(old_name)
        for parent in {id(old_parent): old_parent, id(new_parent): new_parent}.values():
            parent.change()

    _renameat = _rename
    _renameat2 = _rename


def _name(call: Call) -> str:
    return os.fsdecode(_strings(call)[0])


def _strings(call: Call) -> list[bytes]:
    hexed = _STRING.findall(call.arguments)
    return [bytes.fromhex(each.replace("\\x", "")) for each in hexed]


def _all_below(folder: Folder, path: str) -> Iterator[tuple[str, bytes | None]]:
    for name, node in folder.names.items():
        below = f"{path}/{name}" if path else name
        if isinstance(node, Folder):
            yield below, None
            yield from _all_below(node, below)
        else:
            yield below, node.content


def _remains(
    folder: Folder, path: str, chosen: random.Random
) -> Iterator[tuple[str, bytes | None]]:
    names = chosen.choice([folder.synced, *folder.pending])
    for name, node in names.items():
        below = f"{path}/{name}" if path else name
        if isinstance(node, Folder):
            yield below, None
            yield from _remains(node, below, chosen)
        else:
            yield below, _content(node, chosen)


def _content(file: File, chosen: random.Random) -> bytes:
    if file.content == file.synced:
        return file.content
    cut = chosen.randrange(len(file.content) + 1)
    return chosen.choice([file.synced, file.content, file.content[:cut], bytes(len(file.content))])
