"""A run in a bucket: follows the one in the work folder, at most one checkpoint behind."""

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from gemtune.runs.checkpoints import Checkpoint, list_checkpoints
from gemtune.runs.manifest import MANIFEST_FILE, find_damage
from gemtune.runs.run import CHECKPOINTS_DIR, CONFIG_FILE, RUN_FILE
from gemtune.runs.signals import stop_age_seconds
from gemtune.vertex.background import Background
from gemtune.vertex.checkpoint_objects import list_attempts, remove_steps, upload_checkpoint
from gemtune.vertex.folder import BucketFolder, file_checksum
from gemtune.vertex.lease import Lease
from gemtune.vertex.restore import RUN_KEY, listed_names
from gemtune.vertex.work_folder import Link, relink

_LOOK_SECONDS = 0.2

logger = logging.getLogger(__name__)


class BucketMirror:
    """A `RunMirror`; its owner holds the lease and the work folder."""

    def __init__(self, bucket: BucketFolder, run_dir: Path, link: Link, lease: Lease) -> None:
        """Nothing is sent yet."""
        self._bucket, self._run_dir = bucket, run_dir
        self._link, self._lease = link, lease
        self._background = Background()
        self._has_sent = False

    def clear(self) -> None:
        """Forget every trace of an earlier run: a new one begins."""
        self._lease.require()
        manifest = self._bucket.read(MANIFEST_FILE)
        self._bucket.delete(MANIFEST_FILE)
        remove_steps(self._bucket, ())
        # In this order: without run.json nobody can tell what the others are.
        published = listed_names(manifest[0]) if manifest else []
        for name in {*published, CONFIG_FILE} - {RUN_FILE}:
            self._bucket.delete(name)
        self._bucket.delete(RUN_FILE)
        self._link = relink(self._run_dir, self._link)

    def catch_up(self) -> None:
        """Send the checkpoints that an earlier process made and could not send any more."""
        found = list_attempts(self._bucket)
        newest = max((attempt.step for attempt in found if attempt.is_committed), default=-1)
        for checkpoint in reversed(list_checkpoints(self._run_dir / CHECKPOINTS_DIR)):
            if checkpoint.step > newest and not find_damage(checkpoint.folder):
                self._add(lambda checkpoint=checkpoint: self._send(checkpoint))

    def submit(self, checkpoint: Checkpoint) -> None:
        """Send a committed checkpoint in the background, once those before it have arrived."""
        # A process that was asked to stop has no time to wait; `drain` uses what is left.
        while stop_age_seconds() is None and not self._background.wait(_LOOK_SECONDS):
            pass
        self._add(lambda: self._send(checkpoint))

    def keep(self, steps: Collection[int]) -> None:
        """Remove the checkpoints of other steps, once those submitted before have arrived."""
        self._add(lambda: remove_steps(self._bucket, steps))

    def publish(self) -> None:
        """Send the result of a finished run, if it is not there already, and wait for it.

        Raises:
            RemoteError: the bucket did not answer as it should.
        """
        self._add(self._publish)
        while not self._background.wait(_LOOK_SECONDS):
            pass

    def drain(self, timeout_seconds: float) -> None:
        """Wait for what is on its way, as the last thing before the process ends."""
        if self._has_sent:
            self._add(self._send_record)
        try:
            if self._background.wait(max(0, timeout_seconds)):
                return
        except Exception as error:
            # Why the process ends is already known, and is not to be replaced by this.
            logger.warning("%s", error)
        logger.warning("the newest checkpoint is in %s, not yet in %s", self._run_dir, self._bucket)

    def _add(self, job: Callable[[], None]) -> None:
        def run() -> None:
            self._lease.require()
            job()

        self._background.add(run)

    def _send(self, checkpoint: Checkpoint) -> None:
        if not self._has_sent:
            # A run that goes on is not done any more.
            self._bucket.delete(MANIFEST_FILE)
            self._has_sent = True
        self._send_record()
        upload_checkpoint(self._bucket, checkpoint)

    def _send_record(self) -> None:
        record = self._run_dir / RUN_FILE
        self._bucket.upload(record, RUN_FILE, {RUN_KEY: self._link.run})

    def _publish(self) -> None:
        manifest = self._run_dir / MANIFEST_FILE
        if self._bucket.checksum(MANIFEST_FILE) == file_checksum(manifest):
            return
        self._bucket.delete(MANIFEST_FILE)
        self._send_record()
        for name in listed_names(manifest.read_bytes()):
            if name != RUN_FILE:
                self._bucket.upload(self._run_dir / name, name)
        self._bucket.upload_new(manifest, MANIFEST_FILE)
