"""Checkpoints in a bucket: a folder an attempt, and its manifest, sent last, makes it one.

Nothing is ever written twice to the same name, so a process that died in the middle, or one that
wrongly thinks that it is alone, can do no harm.
"""

import logging
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gemtune.runs.checkpoints import Checkpoint
from gemtune.runs.contents import step_name
from gemtune.runs.files import sync_file, sync_folder
from gemtune.runs.manifest import MANIFEST_FILE, find_damage
from gemtune.runs.run import CHECKPOINTS_DIR
from gemtune.vertex.folder import BucketFolder

_NAME = re.compile(rf"({CHECKPOINTS_DIR}/step-(\d{{8}})/[^/]+)/(.+)", re.DOTALL)
# `newest_checkpoint` removes what a killed process leaves under such a name.
_SCRATCH = ".tmp-bucket"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one process sent of a checkpoint."""

    step: int
    folder: str
    names: tuple[str, ...]
    """Relative to `folder`."""

    @property
    def is_committed(self) -> bool:
        """Whether all of it has arrived."""
        return MANIFEST_FILE in self.names


def list_attempts(bucket: BucketFolder) -> list[Attempt]:
    """All attempts in the bucket, newest step first."""
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    for name in bucket.names(f"{CHECKPOINTS_DIR}/"):
        if match := _NAME.fullmatch(name):
            found[int(match[2]), match[1]].append(match[3])
    return [Attempt(*key, tuple(found[key])) for key in sorted(found, reverse=True)]


def upload_checkpoint(bucket: BucketFolder, checkpoint: Checkpoint) -> None:
    """Send a committed checkpoint; when the last object, its manifest, is there, it counts."""
    folder = f"{CHECKPOINTS_DIR}/{checkpoint.folder.name}/{secrets.token_hex(4)}"
    paths = [path for path in sorted(checkpoint.folder.rglob("*")) if path.is_file()]
    for path in sorted(paths, key=lambda path: path.name == MANIFEST_FILE):
        bucket.upload_new(path, f"{folder}/{path.relative_to(checkpoint.folder).as_posix()}")
    logger.info("the checkpoint of step %d is in %s", checkpoint.step, bucket)


def download_checkpoints(bucket: BucketFolder, root: Path) -> list[int]:
    """Fetch all committed checkpoints whose steps are not in `root`.

    Of several attempts one that is whole is taken. If none is, a damaged one is, so that the run
    sees it, puts it aside and says so.

    Returns:
        The steps of those that were fetched.
    """
    steps: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in list_attempts(bucket):
        if attempt.is_committed:
            steps[attempt.step].append(attempt)
    root.mkdir(parents=True, exist_ok=True)
    missing = [step for step in steps if not (root / step_name(step)).exists()]
    for step in missing:
        _download_one(bucket, steps[step], root)
    return missing


def remove_steps(bucket: BucketFolder, kept: Collection[int]) -> None:
    """Remove all checkpoints but those of the steps `kept`, and all that is not committed."""
    for attempt in list_attempts(bucket):
        if attempt.step in kept and attempt.is_committed:
            continue
        # Without its manifest it is no checkpoint any more, so nobody can find half of one.
        for name in sorted(attempt.names, key=lambda name: name != MANIFEST_FILE):
            bucket.delete(f"{attempt.folder}/{name}")


def download_files(bucket: BucketFolder, folder: str, names: Collection[str], to: Path) -> None:
    """Fetch objects below `folder` into a local folder; those that cannot be had stay missing."""
    for name in names:
        # Names are the bucket's, so they must not lead out of the folder.
        if {"", ".", ".."} & set(name.split("/")) or "\0" in name:
            logger.warning("%s/%s%s: left out because of its name", bucket, folder, ascii(name))
        elif bucket.download(f"{folder}{name}", to / name):
            sync_file(to / name)


def _download_one(bucket: BucketFolder, attempts: Collection[Attempt], root: Path) -> None:
    scratch = root / _SCRATCH
    for attempt in attempts:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        download_files(bucket, f"{attempt.folder}/", attempt.names, scratch)
        damage = find_damage(scratch)
        if not damage:
            break
        logger.warning("%s/%s is damaged: %s", bucket, attempt.folder, damage[0])
    scratch.rename(root / step_name(attempt.step))
    sync_folder(root)
