"""Are the numbers in a safetensors file finite?"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gemtune.runs.plain_files import open_plain, parse_json

_MAX_HEADER_BYTES = 10**8  # the limit of the safetensors library
_CHUNK_BYTES = 2**24
# The unsigned integer of the same width, and its bits that are all set in NaN and infinity only.
_EXPONENTS = {
    "F64": (np.dtype("<u8"), 0x7FF0_0000_0000_0000),
    "F32": (np.dtype("<u4"), 0x7F80_0000),
    "F16": (np.dtype("<u2"), 0x7C00),
    "BF16": (np.dtype("<u2"), 0x7F80),
}


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Which bytes of the file hold its numbers."""

    dtype: str
    begin: int
    end: int


def find_not_finite(path: Path) -> str:
    """Look for NaN and infinity.

    The file is read in chunks and without its library, so that any machine can check any size.

    Returns:
        What is wrong: a tensor that is not finite, or a file that is not safetensors; else "".
    """
    try:
        with open_plain(path) as file:
            for name, tensor in _read_header(file).items():
                if not _is_finite(file, tensor):
                    return f"{name} is not finite"
    except ValueError:
        return "not a safetensors file"
    return ""


def _read_header(file: BinaryIO) -> dict[str, _Tensor]:
    n_file = os.fstat(file.fileno()).st_size
    n_header = int.from_bytes(file.read(8), "little")
    header = parse_json(file.read(min(n_header, n_file, _MAX_HEADER_BYTES)))
    if not isinstance(header, dict):
        raise ValueError("no header")
    header.pop("__metadata__", None)
    begin = 8 + n_header
    tensors = {name: _read_tensor(found, begin) for name, found in header.items()}
    # Tensors that share bytes could keep a reader busy for ever.
    n_shared = sum(tensor.end - tensor.begin for tensor in tensors.values()) - (n_file - begin)
    if n_shared or any(tensor.end > n_file for tensor in tensors.values()):
        raise ValueError("the tensors do not fill the file")
    return tensors


def _read_tensor(found: Any, begin: int) -> _Tensor:
    match found:
        case {"dtype": str(dtype), "data_offsets": [int(first), int(last)]} if 0 <= first <= last:
            return _Tensor(dtype, begin + first, begin + last)
        case _:
            raise ValueError("no tensor")


def _is_finite(file: BinaryIO, tensor: _Tensor) -> bool:
    if tensor.dtype not in _EXPONENTS:
        return True
    integer, exponent = _EXPONENTS[tensor.dtype]
    file.seek(tensor.begin)
    for begin in range(tensor.begin, tensor.end, _CHUNK_BYTES):
        chunk = file.read(min(_CHUNK_BYTES, tensor.end - begin))
        bits = np.frombuffer(chunk, integer)
        if np.any((bits & exponent) == exponent):
            return False
    return True
