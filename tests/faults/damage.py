"""Ways in which a file of a checkpoint gets lost or changes on its disk."""

import random
from collections.abc import Callable
from pathlib import Path

DamageFile = Callable[[Path, random.Random], None]


def truncate(path: Path, chosen: random.Random) -> None:
    """Lose its end."""
    content = path.read_bytes()
    path.write_bytes(content[: chosen.randrange(len(content))])


def empty(path: Path, chosen: random.Random) -> None:
    """Keep the name alone, as after a power cut."""
    path.write_bytes(b"")


def flip_bit(path: Path, chosen: random.Random) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
    path.write_bytes(content)


def zero_block(path: Path, chosen: random.Random) -> None:
    """Lose a block of 512 bytes that was not zero before."""
    content = bytearray(path.read_bytes())
    starts = [i for i in range(0, len(content), 512) if any(content[i : i + 512])]
    start = chosen.choice(starts)
    block = content[start : start + 512]
    content[start : start + 512] = bytes(len(block))
    path.write_bytes(content)


def delete(path: Path, chosen: random.Random) -> None:
    """Lose the file."""
    path.unlink()


DAMAGES: dict[str, DamageFile] = {
    "truncate": truncate,
    "empty": empty,
    "flip a bit": flip_bit,
    "zero a block": zero_block,
    "delete": delete,
}
