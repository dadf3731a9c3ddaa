"""Checkpoints: committed whole, found again, put aside when damaged, removed when old."""

import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from gemtune.errors import NotFiniteError
from gemtune.runs.contents import find_bad_contents, step_name, step_of
from gemtune.runs.files import make_folder, naming, remove_tree, sync_file, sync_folder
from gemtune.runs.manifest import find_damage, write_manifest

_TEMPORARY, _REMOVED, _BAD = ".tmp-", ".del-", ".bad-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with all that a run needs to go on after `step` optimizer steps."""

    step: int
    folder: Path


def commit_checkpoint(root: Path, step: int, write: Callable[[Path], None]) -> Checkpoint:
    """Make the checkpoint of a step by `write(folder)`; once it returns, it is on the disk.

    A good checkpoint of that step is left as it is and returned; a damaged one is put aside. Nobody
    can see a part of a checkpoint: not after a failure, a kill or a power cut either.

    Raises:
        OSError: it cannot be written, and a file or the checkpoint is named; nothing is left of it.
        NotFiniteError: a weight is not finite; nothing is left of it.
    """
    checkpoint = Checkpoint(step, root / step_name(step))
    if os.path.lexists(checkpoint.folder):
        if not find_checkpoint_damage(checkpoint.folder):
            # Its writer may have been killed before the rename was on the disk.
            sync_folder(root)
            return checkpoint
        _put_aside(checkpoint.folder, _BAD)
    make_folder(root)
    scratch = root / f"{_TEMPORARY}{step:08d}-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir()
        with naming(checkpoint.folder):
            write(scratch)
        _require_finite(scratch, step)
        _sync_all(scratch)
        write_manifest(scratch)
        scratch.rename(checkpoint.folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    sync_folder(root)
    return checkpoint


def newest_checkpoint(root: Path) -> tuple[Checkpoint | None, list[str]]:
    """Find the newest good checkpoint; nobody else may be writing in `root`.

    What a killed process left is removed. Damaged checkpoints that are newer are put aside.

    Returns:
        The checkpoint, None when there is no good one, and a sentence for each one put aside.
    """
    _remove_leftovers(root)
    told: list[str] = []
    for checkpoint in list_checkpoints(root):
        damage = find_checkpoint_damage(checkpoint.folder)
        if not damage:
            return checkpoint, told
        aside = _put_aside(checkpoint.folder, _BAD)
        more = f" and {len(damage) - 1} more" if len(damage) > 1 else ""
        told.append(f"{checkpoint.folder} is damaged ({damage[0]}{more}); it is {aside.name} now")
    return None, told


def list_checkpoints(root: Path) -> list[Checkpoint]:
    """All that have not been put aside, good or not; newest first, whatever the clocks say."""
    found = ((step_of(path), path) for path in root.glob("*"))
    return sorted(
        (Checkpoint(step, path) for step, path in found if step is not None),
        key=lambda checkpoint: checkpoint.step,
        reverse=True,
    )


def find_checkpoint_damage(folder: Path) -> list[str]:
    """All that is wrong with a checkpoint, a line a file; empty when it is good."""
    if folder.is_symlink() or not folder.is_dir():
        return ["not a folder"]
    return find_damage(folder) or find_bad_contents(folder)


def count_put_aside(root: Path) -> int:
    """How many damaged checkpoints were put aside."""
    return sum(path.name.startswith(_BAD) for path in root.glob("*"))


def was_ever_committed(root: Path) -> bool:
    """Whether a checkpoint was ever finished in `root`, though all may be damaged by now."""
    return bool(list_checkpoints(root)) or count_put_aside(root) > 0


def keep_checkpoints(root: Path, steps: Collection[int]) -> None:
    """Remove the checkpoints of all steps but `steps`; those put aside stay."""
    surplus = [found.folder for found in list_checkpoints(root) if found.step not in steps]
    for folder in surplus:
        remove_tree(_put_aside(folder, _REMOVED))


def _require_finite(scratch: Path, step: int) -> None:
    if bad := find_bad_contents(scratch):
        raise NotFiniteError(
            f"the checkpoint of step {step} was not kept: {bad[0]}",
            fix="lower fine_tuning.training.learning_rate",
        )


def _put_aside(folder: Path, prefix: str) -> Path:
    """Rename a folder so that nobody takes it for a checkpoint.

    The new name is on the disk before anything can be removed below it.
    """
    aside = folder.with_name(f"{prefix}{folder.name}")
    n_before = 1
    while os.path.lexists(aside):
        n_before += 1
        aside = folder.with_name(f"{prefix}{folder.name}-{n_before}")
    folder.rename(aside)
    sync_folder(folder.parent)
    return aside


def _remove_leftovers(root: Path) -> None:
    for path in root.glob("*"):
        if path.name.startswith((_TEMPORARY, _REMOVED)):
            remove_tree(path)


def _sync_all(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            _sync_all(path)
        else:
            sync_file(path)
    sync_folder(folder)
