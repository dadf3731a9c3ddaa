"""A checkpoint of a few hundred bytes with all kinds of files that a real one has."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from gemtune.runs.checkpoints import Checkpoint, commit_checkpoint


def small_files(step: int) -> dict[str, bytes]:
    """What the checkpoint of a step holds besides its manifest, by name."""
    weights = {"weight": np.full((2, 3), step + 0.5, dtype=np.float32)}
    return {
        "adapter_config.json": b'{"r": 8}\n',
        "adapter_model.safetensors": save(weights),
        "metrics.jsonl": b"".join(b'{"step": %d}\n' % n for n in range(step % 100)),
        "state.json": json.dumps({"step": step}).encode(),
        "training_state.safetensors": save({"exp_avg": weights["weight"] / 8}),
    }


def small_writer(step: int) -> Callable[[Path], None]:
    """What `commit_checkpoint` calls."""

    def write(folder: Path) -> None:
        for name, content in small_files(step).items():
            (folder / name).write_bytes(content)

    return write


def commit_small(root: Path, step: int) -> Checkpoint:
    """Commit the small checkpoint of a step."""
    return commit_checkpoint(root, step, small_writer(step))


def tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def is_whole(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint holds exactly what was committed for its step."""
    found = tree(checkpoint.folder)
    return found.pop("manifest.json", None) is not None and found == small_files(checkpoint.step)
