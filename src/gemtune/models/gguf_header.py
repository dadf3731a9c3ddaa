"""The header of a GGUF file, read with suspicion before any library reads it.

Everything that a header counts lies in the file that it heads. One that counts more than the file
holds, or lets tensors share bytes, makes readers take memory that was never stored.
"""

import math
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gguf.constants import GGML_QUANT_SIZES

from gemtune.errors import ArtefactError

GGUF_MAGIC = b"GGUF"
# Readers hold each of them as Python objects. Gemma 3 has 514,906 merges, the most there are.
MAX_ARRAY_ITEMS = 2**20
MAX_ITEMS = 2**22
MAX_KEYS = 2**16
MAX_TENSORS = 2**17
_MAX_DIMENSIONS = 4
_MAX_NAME_BYTES = 2**16 - 1
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32

# The numbers of GGUF's value types, and struct's letters for those of one size.
_STRING, _ARRAY = 8, 9
_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))

_TENSOR_SIZES = {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}
"""(values, bytes) of a block of every tensor type."""


class _BrokenHeaderError(Exception):
    """What is wrong, in words that follow the name of the file."""


@dataclass(slots=True)
class _Cursor:
    """A place in the file that never moves beyond its end."""

    data: mmap.mmap
    position: int = 0
    n_items: int = 0
    """Items of all arrays so far."""

    def skip(self, n_bytes: int, what: str) -> int:
        """Pass over `n_bytes` and return where they begin."""
        start = self.position
        if n_bytes > len(self.data) - start:
            raise _BrokenHeaderError(f"{what} reaches beyond the end of the file")
        self.position += n_bytes
        return start

    def number(self, letter: str, what: str) -> float:
        """Read a number, whole or not as its letter says."""
        start = self.skip(struct.calcsize(f"<{letter}"), what)
        return struct.unpack_from(f"<{letter}", self.data, start)[0]

    def count(self, letter: str, limit: int, what: str) -> int:
        """Read how many there are of something, at most `limit`."""
        value = int(self.number(letter, what))
        if value > limit:
            raise _BrokenHeaderError(f"{what} is {value:,}, above {limit:,}")
        return value

    def name(self, what: str) -> bytes:
        """Read a string with its length before it."""
        length = self.count("Q", _MAX_NAME_BYTES, f"the length of {what}")
        start = self.skip(length, what)
        return self.data[start : start + length]

    def skip_string(self, what: str) -> None:
        """Pass over a string, which may be long."""
        self.skip(int(self.number("Q", what)), what)


@dataclass(slots=True)
class _Header:
    """What later checks need of the keys."""

    alignment: int = _DEFAULT_ALIGNMENT
    n_blocks: int = 0
    n_values: int = 0
    """Elements of all tensors."""
    extents: list[tuple[int, int]] = field(default_factory=list)
    """(offset, bytes) of every tensor."""


def check_gguf_header(path: Path) -> int:
    """Read the header of a GGUF file in bounded time and memory.

    Returns:
        How many values the tensors of the file hold.

    Raises:
        ArtefactError: the file is not GGUF, or its header contradicts itself or the file.
    """
    with path.open("rb") as file:
        if file.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
            raise ArtefactError(
                f"{path} is not a GGUF file (it does not begin with 'GGUF')",
                fix="check the download, or name a model folder",
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _check(_Cursor(data, len(GGUF_MAGIC)))
            except _BrokenHeaderError as error:
                raise ArtefactError(
                    f"{path} cannot be read: {error}",
                    fix="check the download, or use the model's safetensors folder",
                ) from error


def _check(cursor: _Cursor) -> int:
    version = cursor.number("I", "the version")
    if version not in _VERSIONS:
        raise _BrokenHeaderError(f"version {version} of GGUF is unknown")
    n_tensors = cursor.count("Q", MAX_TENSORS, "the number of tensors")
    n_keys = cursor.count("Q", MAX_KEYS, "the number of keys")
    header = _Header()
    _require_distinct(n_keys, lambda: _pass_key(cursor, header), "key")
    if header.n_blocks > n_tensors:
        raise _BrokenHeaderError(f"it has {header.n_blocks:,} blocks but {n_tensors} tensors")
    _require_distinct(n_tensors, lambda: _pass_tensor(cursor, header), "tensor")
    start = -(-cursor.position // header.alignment) * header.alignment
    _check_extents(header, len(cursor.data) - start)
    return header.n_values


def _require_distinct(n_names: int, next_name: Callable[[], bytes], what: str) -> None:
    names: set[bytes] = set()
    for _ in range(n_names):
        name = next_name()
        if name in names:
            raise _BrokenHeaderError(f"{what} {_shown(name)} is there twice")
        names.add(name)


def _pass_key(cursor: _Cursor, header: _Header) -> bytes:
    name = cursor.name("the name of a key")
    what = f"key {_shown(name)}"
    kind = int(cursor.number("I", what))
    if kind == _ARRAY:
        _pass_array(cursor, what)
    elif kind == _STRING:
        cursor.skip_string(what)
    elif kind in _SCALARS:
        _note_setting(header, name, cursor.number(_SCALARS[kind], what))
    else:
        raise _BrokenHeaderError(f"{what} has the unknown type {kind}")
    return name


def _pass_array(cursor: _Cursor, what: str) -> None:
    kind = int(cursor.number("I", what))
    n_items = cursor.count("Q", MAX_ARRAY_ITEMS, f"the length of {what}")
    cursor.n_items += n_items
    if cursor.n_items > MAX_ITEMS:
        raise _BrokenHeaderError(f"its arrays hold more than {MAX_ITEMS:,} items")
    if kind == _STRING:
        for _ in range(n_items):
            cursor.skip_string(what)
    elif kind in _SCALARS:
        cursor.skip(n_items * struct.calcsize(f"<{_SCALARS[kind]}"), what)
    else:
        raise _BrokenHeaderError(f"{what} is an array of the unknown type {kind}")


def _note_setting(header: _Header, name: bytes, value: float) -> None:
    if name != b"general.alignment" and not name.endswith(b".block_count"):
        return
    if not isinstance(value, int):
        raise _BrokenHeaderError(f"key {_shown(name)} is {value}, no whole number")
    if name.endswith(b".block_count"):
        header.n_blocks = max(header.n_blocks, value)
    elif value < 1 or value & (value - 1):
        raise _BrokenHeaderError(f"general.alignment is {value}, no power of two")
    else:
        header.alignment = value


def _pass_tensor(cursor: _Cursor, header: _Header) -> bytes:
    name = cursor.name("the name of a tensor")
    what = f"tensor {_shown(name)}"
    n_dimensions = cursor.count("I", _MAX_DIMENSIONS, f"the number of dimensions of {what}")
    shape = [int(cursor.number("Q", what)) for _ in range(n_dimensions)]
    kind = int(cursor.number("I", what))
    offset = int(cursor.number("Q", what))
    if kind not in _TENSOR_SIZES:
        raise _BrokenHeaderError(f"{what} has the unknown type {kind}")
    n_block, n_bytes = _TENSOR_SIZES[kind]
    if shape and shape[0] % n_block:
        raise _BrokenHeaderError(f"the rows of {what} are no multiple of {n_block}")
    header.n_values += math.prod(shape)
    # math.prod never wraps round, as the 64-bit products of other readers do.
    header.extents.append((offset, math.prod(shape) // n_block * n_bytes))
    return name


def _check_extents(header: _Header, n_bytes: int) -> None:
    end = 0
    for offset, size in sorted(header.extents):
        if offset % header.alignment:
            raise _BrokenHeaderError(f"a tensor begins at {offset}, which is not aligned")
        if offset < end:
            raise _BrokenHeaderError("two tensors share bytes")
        end = offset + size
    if end > max(n_bytes, 0):
        raise _BrokenHeaderError(f"its tensors end at byte {end:,} of {max(n_bytes, 0):,}")


def _shown(name: bytes) -> str:
    return repr(name[:80].decode(errors="replace"))
