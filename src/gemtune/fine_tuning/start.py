"""Where a run begins: at its last good checkpoint, or at the beginning."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from gemtune.errors import ArtefactError
from gemtune.fine_tuning.job import Job
from gemtune.fine_tuning.memory_limit import TokenLimit
from gemtune.runs.checkpoints import Checkpoint, newest_checkpoint, was_ever_committed
from gemtune.runs.files import write_bytes
from gemtune.runs.manifest import MANIFEST_FILE
from gemtune.runs.run import CHECKPOINTS_DIR, METRICS_FILE, clear_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """What a run goes on with."""

    checkpoint: Checkpoint | None
    """None: with nothing."""
    damage: Sequence[str]
    """What was wrong with newer checkpoints, in words."""

    @property
    def step(self) -> int:
        """Optimizer steps that are done."""
        return self.checkpoint.step if self.checkpoint else 0


def find_start(job: Job) -> Start:
    """Find the newest checkpoint that is whole; damaged ones are put aside.

    Raises:
        ArtefactError: there were checkpoints, and none is whole.
    """
    if job.earlier is None:
        return Start(None, ())
    root = job.run_dir / CHECKPOINTS_DIR
    checkpoint, damage = newest_checkpoint(root)
    for told in damage:
        logger.warning("%s", told)
    if checkpoint is None and was_ever_committed(root):
        raise ArtefactError(
            f"{root} holds no checkpoint that is whole, so the run cannot go on: "
            f"{'; '.join(damage) or 'they were put aside before'}",
            fix="bring back a copy of that folder, or add --overwrite (in Python overwrite=True) "
            "to start over",
        )
    return Start(checkpoint, damage)


def lay_out(job: Job, start: Start) -> None:
    """Bring the files of the run to the state of the checkpoint."""
    if start.checkpoint is None:
        if job.mirror:
            job.mirror.clear()
        clear_run(job.run_dir)
        return
    (job.run_dir / MANIFEST_FILE).unlink(missing_ok=True)
    log = start.checkpoint.folder / METRICS_FILE
    write_bytes(job.run_dir / METRICS_FILE, log.read_bytes())


def token_limits(job: Job, start: Start) -> list[TokenLimit]:
    """Sizes of micro-batches that an earlier process found out, if the config asks for the same."""
    wanted = job.config.fine_tuning.training.micro_batch_tokens
    if job.earlier is None:
        return [TokenLimit(0, False, wanted)]
    known = [TokenLimit(**limit) for limit in job.earlier["micro_batches"]]
    if job.earlier["micro_batch_tokens"] == wanted:
        return known
    changed = TokenLimit(start.step, False, wanted)
    return [*(limit for limit in known if limit.moment < changed.moment), changed]
