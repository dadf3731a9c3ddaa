"""Checkpoints of a run: what is in them, which ones stay, and what to do when the disk is full."""

import errno
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gemtune.errors import ResourceError
from gemtune.fine_tuning.memory_limit import MemoryLimit
from gemtune.fine_tuning.prepare import Prepared
from gemtune.fine_tuning.space import checkpoint_bytes
from gemtune.fine_tuning.state import Progress, write_state
from gemtune.fine_tuning.validation import best_validation
from gemtune.runs.checkpoints import Checkpoint, commit_checkpoint, keep_checkpoints
from gemtune.runs.disk import require_space
from gemtune.runs.mirror import RunMirror
from gemtune.runs.run import CHECKPOINTS_DIR, METRICS_FILE
from gemtune.runs.signals import uninterrupted

logger = logging.getLogger(__name__)

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class CheckpointSaver:
    """Commits checkpoints of one run; keeps the best one and the last two."""

    def __init__(
        self,
        run_dir: Path,
        ready: Prepared,
        memory: MemoryLimit,
        about: Mapping[str, Any],
        resumed_step: int | None,
        mirror: RunMirror | None,
    ) -> None:
        """Nothing is written yet.

        Args:
            run_dir: The run folder.
            ready: What is trained.
            memory: Knows the size of micro-batches.
            about: What else `state.json` tells.
            resumed_step: The checkpoint that the run goes on from.
            mirror: Takes copies of the checkpoints.
        """
        self._run_dir, self._ready = run_dir, ready
        self._memory, self._about = memory, about
        self._root = run_dir / CHECKPOINTS_DIR
        self._newest = resumed_step
        self._mirror = mirror

    def save(self, progress: Progress) -> float:
        """Commit the state of training, then remove the checkpoints that are not wanted any more.

        Returns:
            The seconds until it was on the disk; copies elsewhere are not waited for.

        Raises:
            ResourceError: the disk is full, also without the older checkpoints.
            KeyboardInterrupt: a signal came meanwhile; the checkpoint is on the disk.
        """
        with uninterrupted():
            started = time.perf_counter()
            checkpoint = self._commit(progress)
            seconds = time.perf_counter() - started
            # A signal that came meanwhile must not keep this one from the second home.
            if self._mirror:
                self._mirror.submit(checkpoint)
        # The one before stays, in case that the new one is damaged some day.
        self._keep(progress.n_steps, self._newest, _best_step(progress))
        self._newest = progress.n_steps
        return seconds

    def _commit(self, progress: Progress) -> Checkpoint:
        try:
            return self._try_to_commit(progress)
        except (OSError, ResourceError) as error:
            if not _is_full(error):
                raise
            logger.warning("%s; older checkpoints are removed", error)
        self._keep(self._newest, _best_step(progress))
        try:
            return self._try_to_commit(progress)
        except OSError as error:
            if not _is_full(error):
                raise
            raise self._full_disk_error(error, progress.n_steps) from error

    def _try_to_commit(self, progress: Progress) -> Checkpoint:
        step = progress.n_steps
        n_bytes = checkpoint_bytes(self._run_dir, self._ready)
        require_space(self._root, n_bytes, f"the checkpoint of step {step}")
        return commit_checkpoint(self._root, step, lambda folder: self._write(folder, progress))

    def _full_disk_error(self, error: OSError, step: int) -> ResourceError:
        n_bytes = checkpoint_bytes(self._run_dir, self._ready)
        return ResourceError(
            f"{error.filename or self._root}: no space is left for the checkpoint of step {step}, "
            f"{n_bytes:,} bytes",
            fix="free some space, then run the same command again: it goes on with the last "
            "checkpoint",
        )

    def _write(self, folder: Path, progress: Progress) -> None:
        ready = self._ready
        ready.writer.write(folder, ready.masters.state())
        tokens = self._memory.tokens_at(progress.n_steps, in_training=False)
        about = {"micro_batch_tokens": tokens, **self._about}
        write_state(folder, progress, ready.masters, ready.optimizer, about)
        shutil.copyfile(self._run_dir / METRICS_FILE, folder / METRICS_FILE)

    def _keep(self, *wanted: int | None) -> None:
        steps = {step for step in wanted if step is not None}
        if self._root.exists():
            keep_checkpoints(self._root, steps)
        if self._mirror:
            self._mirror.keep(steps)


def _best_step(progress: Progress) -> int | None:
    best = best_validation(progress.validations)
    return best.n_steps if best else None


def _is_full(error: OSError | ResourceError) -> bool:
    return isinstance(error, ResourceError) or error.errno in _FULL_DISK
