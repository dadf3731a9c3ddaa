"""A run in a bucket goes on, on a machine that knows less of it than the bucket."""

import json
import logging
import shutil
from pathlib import Path

from gemtune.errors import UsageError
from gemtune.runs.checkpoints import list_checkpoints, newest_checkpoint
from gemtune.runs.files import write_bytes
from gemtune.runs.folders import install_files
from gemtune.runs.manifest import MANIFEST_FILE, find_damage
from gemtune.runs.run import CHECKPOINTS_DIR, RUN_FILE
from gemtune.vertex.checkpoint_objects import download_checkpoints, download_files
from gemtune.vertex.folder import BucketFolder
from gemtune.vertex.lease import LEASE
from gemtune.vertex.work_folder import Link, relink

RUN_KEY = "gemtune-run"
"""Metadata of `run.json`: which run it is."""

_SCRATCH = ".restored"

logger = logging.getLogger(__name__)


def restore_run(bucket: BucketFolder, run_dir: Path, link: Link, *, with_checkpoints: bool) -> Link:
    """Fetch into the work folder what the bucket has of the run and the folder has not.

    That is the result of a run that is done, else the checkpoints; `run.json` comes last, because
    without it there is no run in the folder and all is fetched again.

    Args:
        bucket: Where the run is, if it ever began.
        run_dir: The work folder.
        link: What ties it to the bucket.
        with_checkpoints: Fetch those of a run that is done, too.

    Returns:
        The link, naming the run that is now in the folder.

    Raises:
        UsageError: the folder holds another run than the bucket, or the bucket something else.
    """
    metadata = bucket.metadata(RUN_FILE)
    is_here = (run_dir / RUN_FILE).exists()
    if metadata is None:
        if not is_here:
            _refuse_other_objects(bucket)
        return link
    run = metadata.get(RUN_KEY, link.run)
    if is_here and run != link.run:
        raise UsageError(
            f"{run_dir} holds another run than {bucket}",
            fix="remove that folder or name another one with --work-dir, to go on with the run in "
            "the bucket; or add --overwrite to start over",
        )
    link = relink(run_dir, link, run)
    if not _has_result(bucket, run_dir) or with_checkpoints:
        _fetch_checkpoints(bucket, run_dir)
    return link


def listed_names(manifest: bytes) -> list[str]:
    """The files that a manifest names; none if it is damaged."""
    try:
        match json.loads(manifest):
            case {"files": dict(files)}:
                return list(files)
    except ValueError:
        pass
    return []


def _refuse_other_objects(bucket: BucketFolder) -> None:
    others = [name for name in bucket.names() if name != LEASE]
    if others:
        raise UsageError(
            f"{bucket} holds {others[0]}, which is not of a run of gemtune",
            fix="choose another output folder; --overwrite would write over what is there",
        )


def _has_result(bucket: BucketFolder, run_dir: Path) -> bool:
    """Make sure that a finished run is here in full; returns whether it is."""
    if not find_damage(run_dir):
        return True
    found = bucket.read(MANIFEST_FILE)
    if found is None:
        return False
    scratch = run_dir / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    download_files(bucket, "", [*listed_names(found[0]), MANIFEST_FILE], scratch)
    damage = find_damage(scratch)
    if damage:
        logger.warning("%s: the result is damaged (%s); it is made again", bucket, damage[0])
    else:
        install_files(scratch, run_dir, skip=(RUN_FILE,))
        (scratch / RUN_FILE).replace(run_dir / RUN_FILE)
        logger.info("fetched the result of the run from %s", bucket)
    shutil.rmtree(scratch)
    return not damage


def _fetch_checkpoints(bucket: BucketFolder, run_dir: Path) -> None:
    root = run_dir / CHECKPOINTS_DIR
    # Those that are damaged here are put aside, and fetched again.
    _, damage = newest_checkpoint(root)
    for told in damage:
        logger.warning("%s", told)
    newest = max((found.step for found in list_checkpoints(root)), default=-1)
    fetched = download_checkpoints(bucket, root)
    if fetched:
        logger.info("fetched the checkpoints of steps %s from %s", sorted(fetched), bucket)
    if max(fetched, default=-1) > newest or not (run_dir / RUN_FILE).exists():
        record = bucket.read(RUN_FILE)
        if record:
            write_bytes(run_dir / RUN_FILE, record[0])
