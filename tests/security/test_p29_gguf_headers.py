"""P29: the header of a GGUF file is checked before any library reads it."""

import random
import resource
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gemtune.errors import ArtefactError
from gemtune.models.gguf import converted_folder
from gemtune.models.gguf_header import MAX_ARRAY_ITEMS, check_gguf_header

UINT8, UINT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 0, 4, 6, 7, 8, 9, 10
F32, Q8_0 = 0, 8
HUGE = 2**40
N_FUZZED = 1_000
N_CONVERTED = 8


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def key(name: bytes, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(name: bytes, kind: int, n_items: int, items: bytes) -> bytes:
    return key(name, ARRAY, struct.pack("<IQ", kind, n_items) + items)


def tensor(name: bytes, shape: list[int], kind: int, offset: int) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


def gguf(
    *keys: bytes,
    tensors: tuple[bytes, ...] = (),
    version: int = 3,
    n_keys: int | None = None,
    n_tensors: int | None = None,
    data: bytes = b"\0" * 64,
) -> bytes:
    counts = (
        len(tensors) if n_tensors is None else n_tensors,
        len(keys) if n_keys is None else n_keys,
    )
    header = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join((*keys, *tensors))
    return header + b"\0" * (-len(header) % 32) + data


SOUND = gguf(
    key(b"general.architecture", STRING, text(b"llama")),
    key(b"llama.block_count", UINT32, struct.pack("<I", 1)),
    array(b"tokenizer.ggml.tokens", STRING, 2, text(b"a") + text(b"")),
    array(b"tokenizer.ggml.scores", FLOAT32, 2, b"\0" * 8),
    tensors=(tensor(b"a", [8], F32, 0), tensor(b"b", [4, 2], F32, 32)),
)
CRAFTED = {
    "nothing but the magic": b"GGUF",
    "an unknown version": gguf(version=9),
    "the other byte order": b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + b"\0" * 64,
    "a huge number of keys": gguf(n_keys=HUGE),
    "a huge number of tensors": gguf(n_tensors=HUGE),
    "counts that wrap round": gguf(n_keys=2**64 - 1, n_tensors=2**64 - 1),
    "more keys than there are": gguf(key(b"a", UINT8, b"\1"), n_keys=60_000),
    "a key name beyond the end": gguf(text(b"a", HUGE), n_keys=1),
    "a string beyond the end": gguf(key(b"a", STRING, text(b"b", HUGE))),
    "a string length that wraps round": gguf(key(b"a", STRING, text(b"b", 2**64 - 8))),
    "a huge array": gguf(array(b"a", UINT8, HUGE, b"")),
    "an array beyond the end": gguf(array(b"a", UINT64, 500_000, b"")),
    "an array of many empty strings": gguf(
        array(b"a", STRING, MAX_ARRAY_ITEMS + 1, b"\0" * 8 * (MAX_ARRAY_ITEMS + 1))
    ),
    "arrays in arrays": gguf(array(b"a", ARRAY, 1, struct.pack("<IQ", ARRAY, 1) * 5_000)),
    "an unknown type of value": gguf(key(b"a", 77, b"\0" * 8)),
    "a key that is there twice": gguf(key(b"a", UINT8, b"\1"), key(b"a", UINT8, b"\2")),
    "no alignment": gguf(key(b"general.alignment", UINT32, struct.pack("<I", 0))),
    "a crooked alignment": gguf(key(b"general.alignment", UINT32, struct.pack("<I", 33))),
    "an alignment in words": gguf(key(b"general.alignment", FLOAT32, struct.pack("<f", 1.5))),
    "more blocks than tensors": gguf(key(b"llama.block_count", UINT32, struct.pack("<I", 2**31))),
    "many dimensions": gguf(tensors=(tensor(b"a", [1] * 99, F32, 0),)),
    "dimensions whose product wraps round": gguf(tensors=(tensor(b"a", [2**32, 2**32], F32, 0),)),
    "a tensor larger than the file": gguf(tensors=(tensor(b"a", [HUGE], F32, 0),)),
    "an offset beyond the end": gguf(tensors=(tensor(b"a", [8], F32, HUGE),)),
    "an offset that wraps round": gguf(tensors=(tensor(b"a", [8], F32, 2**64 - 32),)),
    "an offset that is not aligned": gguf(tensors=(tensor(b"a", [8], F32, 4),)),
    "tensors that share bytes": gguf(
        tensors=(tensor(b"a", [16], F32, 0), tensor(b"b", [8], F32, 32))
    ),
    "a tensor that is there twice": gguf(
        tensors=(tensor(b"a", [8], F32, 0), tensor(b"a", [8], F32, 32))
    ),
    "an unknown type of tensor": gguf(tensors=(tensor(b"a", [8], 999, 0),)),
    "a part of a block": gguf(tensors=(tensor(b"a", [31], Q8_0, 0),)),
}


@pytest.fixture
def check(tmp_path: Path) -> Callable[[bytes], None]:
    """Check the header of a file with this content."""

    def run(content: bytes) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        check_gguf_header(path)

    return run


def test_a_sound_header_is_accepted(check: Callable[[bytes], None]) -> None:
    check(SOUND)


@pytest.mark.parametrize("content", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_header_is_refused_in_bounded_memory(
    check: Callable[[bytes], None], content: bytes
) -> None:
    before = peak_bytes()

    with pytest.raises(ArtefactError, match=r"model\.gguf cannot be read: ") as caught:
        check(content)

    assert caught.value.exit_code == 4
    assert peak_bytes() - before < 64 * 2**20


def test_a_crafted_file_is_refused_before_it_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(CRAFTED["counts that wrap round"])

    with pytest.raises(ArtefactError, match="the number of tensors is 18,446,744,073,709,551,615"):
        converted_folder(path)


@pytest.mark.parametrize(
    "name", [b"llama.embedding_length", b"llama.feed_forward_length", b"llama.vocab_size"]
)
def test_settings_that_promise_more_weights_than_the_file_holds_take_no_memory(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "cache"))
    content = bytearray(tiny_gguf.read_bytes())
    struct.pack_into("<I", content, content.index(name) + len(name) + 4, 2**20)
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    before = peak_bytes()

    with pytest.raises(ArtefactError, match=r"describe [\d,]+ parameters, but it holds [\d,]+"):
        converted_folder(path)

    assert peak_bytes() - before < 200 * 2**20


def test_any_damage_to_a_header_is_refused_or_harmless(check: Callable[[bytes], None]) -> None:
    draw = random.Random(7)
    before, n_refused = peak_bytes(), 0
    for _ in range(N_FUZZED):
        try:
            check(damaged(draw, SOUND))
        except ArtefactError:
            n_refused += 1
    assert n_refused > N_FUZZED / 2
    assert peak_bytes() - before < 64 * 2**20


def test_a_damaged_file_that_passes_is_converted_or_refused(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "cache"))
    draw, sound = random.Random(11), tiny_gguf.read_bytes()
    header_bytes = sound.index(b"token_embd.weight")
    path, n_passed = tmp_path / "model.gguf", 0
    while n_passed < N_CONVERTED:
        path.write_bytes(damaged(draw, sound[:header_bytes]) + sound[header_bytes:])
        try:
            check_gguf_header(path)
        except ArtefactError:
            continue
        n_passed += 1
        with suppress(ArtefactError):
            converted_folder(path)


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Flip bits, write numbers that matter to readers, or cut the end."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 3)):
        position = draw.randrange(4, len(changed) - 8)
        if draw.random() < 0.5:
            changed[position] ^= 1 << draw.randrange(8)
        else:
            number = draw.choice([0, 1, 2**7, 2**31, 2**32, 2**40, 2**63, 2**64 - 1])
            struct.pack_into("<Q", changed, position, number)
    return bytes(changed if draw.random() < 0.9 else changed[: draw.randrange(4, len(changed))])


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
