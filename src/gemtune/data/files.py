"""Which files of a data folder are the training, validation and test data."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gemtune.errors import DataError

SPLIT_FILES: Mapping[str, tuple[str, ...]] = {
    "train": ("train.jsonl",),
    "val": ("val.jsonl", "validation.jsonl"),
    "test": ("test.jsonl",),
}
_OTHER_STEMS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training", "train_data", "training_data"),
    "val": ("val", "valid", "validation", "validate", "dev", "eval"),
    "test": ("test", "tests", "testing", "test_data"),
}
_OTHER_ENDINGS = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".jsonlines")


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files of a data folder; only the training data must be there."""

    train: Path
    val: Path | None
    test: Path | None

    def splits(self) -> dict[str, Path]:
        """Return the files that are there, by the name of their split."""
        named = {"train": self.train, "val": self.val, "test": self.test}
        return {name: path for name, path in named.items() if path}


def find_data_files(data_dir: Path) -> DataFiles:
    """Find train.jsonl, val.jsonl (or validation.jsonl) and test.jsonl in a folder.

    Raises:
        DataError: No folder, no training file, two validation files, or a split that is there
            under a name that would not be read.
    """
    if not data_dir.is_dir():
        raise _no_folder(data_dir)
    names = sorted(entry.name for entry in data_dir.iterdir())
    found = {split: _find_split(data_dir, split, names) for split in SPLIT_FILES}
    if found["train"] is None:
        listed = ", ".join(name for name in names if name.endswith(".jsonl")) or "no .jsonl files"
        raise DataError(
            f"{data_dir} holds no train.jsonl; found: {listed}",
            fix="name the training data train.jsonl",
        )
    return DataFiles(train=found["train"], val=found["val"], test=found["test"])


def _find_split(data_dir: Path, split: str, names: list[str]) -> Path | None:
    present = [name for name in SPLIT_FILES[split] if name in names]
    if len(present) > 1:
        raise DataError(
            f"{data_dir} holds both {' and '.join(present)}",
            fix=f"keep one of them as {present[0]}",
        )
    if present:
        return data_dir / present[0]
    spellings = {stem + ending for stem in _OTHER_STEMS[split] for ending in _OTHER_ENDINGS}
    if near := [name for name in names if name.lower() in spellings]:
        raise DataError(
            f"{data_dir / near[0]} would not be read as {split} data: the name must be"
            f" {SPLIT_FILES[split][0]}",
            fix="write it as JSON lines under that name, or move it out of the folder",
        )
    return None


def _no_folder(data_dir: Path) -> DataError:
    if data_dir.exists():
        return DataError(
            f"{data_dir} is a file, not a folder with train.jsonl",
            fix=f"give the folder: {data_dir.parent}",
        )
    siblings = data_dir.parent.iterdir() if data_dir.parent.is_dir() else ()
    near = difflib.get_close_matches(data_dir.name, [entry.name for entry in siblings], n=1)
    fix = f"did you mean {data_dir.parent / near[0]}?" if near else "check the path"
    return DataError(f"{data_dir}: no such folder", fix=fix)
