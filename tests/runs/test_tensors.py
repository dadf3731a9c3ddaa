"""Numbers that are not finite are found in every format, and bad files never crash the search."""

import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save as save_numpy
from safetensors.torch import save

from gemtune.runs import tensors
from gemtune.runs.tensors import find_not_finite

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_found(
    tmp_path: Path, dtype: torch.dtype, value: float
) -> None:
    found = torch.zeros(3, 5, dtype=dtype)
    found[2, 4] = value
    (tmp_path / "a").write_bytes(save({"good": torch.ones(4, dtype=dtype), "lora_A": found}))
    assert find_not_finite(tmp_path / "a") == "lora_A is not finite"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_all_other_numbers_are_good(tmp_path: Path, dtype: torch.dtype) -> None:
    limits = torch.finfo(dtype)
    values = torch.tensor([limits.max, limits.min, limits.tiny, 0.0, -0.0], dtype=dtype)
    (tmp_path / "a").write_bytes(save({"a": values, "none": values[:0]}, metadata={"x": "y"}))
    assert find_not_finite(tmp_path / "a") == ""


def test_whole_numbers_are_always_finite(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(save_numpy({"a": np.full(3, -1, dtype=np.int32)}))
    assert find_not_finite(tmp_path / "a") == ""


def test_large_tensors_are_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "_CHUNK_BYTES", 64)
    values = np.zeros(100, dtype=np.float32)
    (tmp_path / "a").write_bytes(save_numpy({"a": values}))
    assert find_not_finite(tmp_path / "a") == ""
    values[99] = np.nan
    (tmp_path / "a").write_bytes(save_numpy({"a": values}))
    assert find_not_finite(tmp_path / "a") == "a is not finite"


def file_with(header: object, n_bytes: int = 8) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(n_bytes)


BAD_FILES = [
    b"", b"\x01", b"\xff" * 16, struct.pack("<Q", 2**63), struct.pack("<Q", 2) + b"[]",
    struct.pack("<Q", 50_000) + b"[" * 50_000,
    file_with({"a": 1}), file_with({"a": {"dtype": "F32"}}),
    file_with({"a": {"dtype": "F32", "data_offsets": [0, 16]}}),
    file_with({"a": {"dtype": "F32", "data_offsets": [-8, 0]}}),
    file_with({"a": {"dtype": "F32", "data_offsets": [8, 0]}}),
    file_with({"a": {"dtype": "F32", "data_offsets": [0, 7]}}, 7),
    file_with({"a": {"dtype": "F32", "data_offsets": [2**62, 2**62 + 8]}}),
    file_with({"a": {"dtype": "F32", "data_offsets": [0, 8]},
               "b": {"dtype": "F32", "data_offsets": [0, 8]}}),
]  # fmt: skip


@pytest.mark.parametrize("content", BAD_FILES, ids=lambda content: repr(content[:60]))
def test_a_file_that_is_not_safetensors_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert find_not_finite(tmp_path / "a") == "not a safetensors file"


def test_fuzzed_files_never_crash(tmp_path: Path) -> None:
    rng = random.Random(3)
    whole = save_numpy({"a": np.ones(3, np.float32), "b": np.ones(2, np.float16)})
    for _ in range(500):
        changed = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        (tmp_path / "a").write_bytes(changed)
        assert isinstance(find_not_finite(tmp_path / "a"), str)
