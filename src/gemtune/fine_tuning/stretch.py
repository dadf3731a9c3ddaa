"""A stretch of a run: from a checkpoint to a step, in one process."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from transformers import PreTrainedModel

from gemtune.fine_tuning.gradient_request import Asking, answer_alone
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.job import Job
from gemtune.fine_tuning.loop import LoopResult, OnStep, TrainingLoop
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.prepare import Prepared
from gemtune.fine_tuning.record import RunRecord
from gemtune.fine_tuning.saving import CheckpointSaver
from gemtune.fine_tuning.start import Start
from gemtune.fine_tuning.state import Progress, read_progress, restore_tensors
from gemtune.monitoring.progress import TrainingProgress
from gemtune.monitoring.recorder import Listener, open_recorder
from gemtune.monitoring.tensorboard import TensorBoardListener

logger = logging.getLogger(__name__)


def restore(start: Start, ready: Prepared) -> Progress:
    """Bring what is prepared to where the run is.

    Raises:
        ArtefactError: the checkpoint belongs to another adapter or another gemtune.
    """
    if start.checkpoint is None:
        return Progress()
    logger.info("going on after step %d of %d", start.step, ready.plan.n_steps)
    restore_tensors(start.checkpoint.folder, ready.masters, ready.optimizer)
    return read_progress(start.checkpoint.folder)


def train(job: Job, ready: Prepared, progress: Progress, memory: MemoryLimit) -> LoopResult:
    """Do what `training` does, to the end of the schedule, with the run's own model."""
    return answer_alone(training(job, ready, progress, memory))


def training(
    job: Job,
    ready: Prepared,
    progress: Progress,
    memory: MemoryLimit,
    *,
    last_step: int | None = None,
    on_step: OnStep = lambda: None,
) -> Asking[LoopResult]:
    """Train, and leave checkpoints and records in the run folder; the gradients are asked for.

    Args:
        job: What is to be done.
        ready: What is trained; as far as `progress` says.
        progress: Counts on.
        memory: Knows the size of micro-batches.
        last_step: Stop after this step, in the middle of the schedule; None for its end.
        on_step: Called after every step; what it raises ends the run.

    Raises:
        NotFiniteError: the loss or a gradient is not finite.
        ResourceError: out of memory or disk.
        KeyboardInterrupt: a signal asked to stop; the last completed step is on the disk.
    """
    network = ready.model.get_base_model()
    assert isinstance(network, PreTrainedModel)
    first_step = progress.n_steps
    about = {
        "seed": job.config.fine_tuning.training.seed,
        "effective_batch": ready.plan.effective_batch,
        "identity": job.identity,
    }
    saver = CheckpointSaver(job.run_dir, ready, memory, about, first_step or None, job.mirror)
    listeners = list(_listeners(job, ready.plan.n_steps, first_step))
    with open_recorder(job.run_dir, listeners, first_step=first_step) as recorder:
        run = Ingredients(
            model=network,
            masters=ready.masters,
            optimizer=ready.optimizer,
            train=ready.rows["train"],
            val=ready.rows.get("val", []),
            plan=ready.plan,
            training=job.config.fine_tuning.training,
            recorder=recorder,
            memory=memory,
            progress=progress,
        )
        every = job.config.monitoring.log_every_steps
        loop = TrainingLoop(run, saver.save, every, last_step=last_step, on_step=on_step)
        started = time.perf_counter()
        reached = yield from loop.asking()
        seconds = time.perf_counter() - started
        recorder.log("end", reached.n_steps, {}, {"end/seconds": seconds})
        return reached


def note_halvings(record: RunRecord) -> Callable[[Sequence[TokenLimit]], None]:
    """Write down sizes of micro-batches before they come into force."""

    def note(limits: Sequence[TokenLimit]) -> None:
        record.change(micro_batches=[asdict(limit) for limit in limits])
        record.add_event("out of memory", **asdict(limits[-1]))

    return note


def _listeners(job: Job, n_steps: int, first_step: int) -> Iterator[Listener]:
    monitoring = job.config.monitoring
    if monitoring.tensorboard:
        yield TensorBoardListener(job.run_dir, first_step)
    if job.show_progress:
        yield TrainingProgress(n_steps, monitoring.progress_every_seconds, first_step=first_step)
