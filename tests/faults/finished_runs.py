"""What a finished run left, and whether two runs left the same bytes."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from gemtune.runs.manifest import find_damage

# What the clock, the machine and the number of attempts may change.
_FREE = {"run.json", "run.lock", "speed.jsonl", "tensorboard", "manifest.json", "checkpoints"}


@dataclass(frozen=True, slots=True)
class Leftovers:
    """SHA-256 by name of what is promised to be the same after any number of kills."""

    published: dict[str, str]
    """Every file of the run folder itself, the log of metrics included."""
    checkpoints: dict[str, dict[str, str]]
    """Every file of every checkpoint that was kept."""


def read_leftovers(run_dir: Path) -> Leftovers:
    """Digest what a run left."""
    published = {
        path.name: _digest(path)
        for path in run_dir.iterdir()
        if path.name not in _FREE and path.is_file()
    }
    kept = {
        folder.name: {path.name: _digest(path) for path in folder.iterdir() if path.is_file()}
        for folder in (run_dir / "checkpoints").glob("step-*")
    }
    return Leftovers(published, kept)


def find_differences(run_dir: Path, reference: Leftovers) -> list[str]:
    """What is not as in the unbroken run, in words; [] when every promised byte is the same.

    A run that was stopped may have kept a checkpoint at a step where the unbroken one had none.
    Those of the same step must be equal, that of the last step must be there, and nothing half
    written may be left.
    """
    if not run_dir.is_dir():
        return ["there is no run folder"]
    found = read_leftovers(run_dir)
    differences = [
        f"{name} differs"
        for name in sorted(found.published.keys() | reference.published.keys())
        if found.published.get(name) != reference.published.get(name)
    ]
    last = max(reference.checkpoints)
    if last not in found.checkpoints:
        differences.append(f"{last} is missing")
    for step in found.checkpoints.keys() & reference.checkpoints.keys():
        if found.checkpoints[step] != reference.checkpoints[step]:
            differences.append(f"{step} differs: {_unequal(found, reference, step)}")
    differences += [f"{path.name} is half written" for path in find_remains(run_dir)]
    differences += [f"manifest: {words}" for words in find_damage(run_dir)]
    if read_record(run_dir)["status"] != "done":
        differences.append("run.json does not say done")
    return differences


def find_remains(run_dir: Path) -> list[Path]:
    """Temporary files and folders that a clean end must not leave."""
    folders = [run_dir, run_dir / "checkpoints"]
    return [
        path
        for folder in folders
        for path in folder.glob(".*")
        if not path.name.startswith(".bad-")
    ]


def read_record(run_dir: Path) -> dict[str, Any]:
    """`run.json`."""
    return json.loads((run_dir / "run.json").read_text(encoding="utf-8"))


def find_not_finite(folder: Path) -> list[str]:
    """Every tensor and every JSON number below `folder` that is NaN or infinite."""
    return [*find_bad_tensors(folder), *_bad_numbers(folder)]


def find_bad_tensors(folder: Path) -> list[str]:
    """Every tensor in a safetensors file below `folder` that is not finite."""
    found = []
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (not a mapping)
                if not tensors.get_tensor(name).isfinite().all():
                    found.append(f"{path.relative_to(folder)}: {name}")
    return found


def _bad_numbers(folder: Path) -> Iterator[str]:
    for path in [*folder.rglob("*.json"), *folder.rglob("*.jsonl")]:
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        for line in lines:
            numbers: list[str] = []
            # Infinity also hides in digits: 1e999 is read as one.
            json.loads(line, parse_constant=numbers.append, parse_float=_keep_bad(numbers))
            yield from (f"{path.relative_to(folder)}: {number}" for number in numbers)


def _keep_bad(found: list[str]) -> Any:
    def read(text: str) -> float:
        if not math.isfinite(float(text)):
            found.append(text)
        return float(text)

    return read


def _unequal(found: Leftovers, reference: Leftovers, step: str) -> str:
    mine, theirs = found.checkpoints[step], reference.checkpoints[step]
    return ", ".join(sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k)))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
