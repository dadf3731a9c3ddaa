"""One process at work on a run: from where the run is to its end."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from transformers import PreTrainedModel

from gemtune.config.dump import dump_resolved
from gemtune.data.load import load_examples
from gemtune.fine_tuning.description import describe_run, find_changed_surroundings
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.job import Job
from gemtune.fine_tuning.loop import LoopResult, TrainingLoop
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.prepare import Prepared, prepare
from gemtune.fine_tuning.publish import publish
from gemtune.fine_tuning.record import RunRecord, open_record
from gemtune.fine_tuning.saving import CheckpointSaver
from gemtune.fine_tuning.space import require_space_for_run
from gemtune.fine_tuning.start import Start, find_start, lay_out, token_limits
from gemtune.fine_tuning.state import Progress, read_progress, restore_tensors
from gemtune.models.memory import memory_errors
from gemtune.monitoring.progress import TrainingProgress
from gemtune.monitoring.recorder import Listener, open_recorder
from gemtune.monitoring.tensorboard import TensorBoardListener
from gemtune.runs.files import write_text
from gemtune.runs.run import CONFIG_FILE
from gemtune.runs.signals import uninterrupted

logger = logging.getLogger(__name__)


def work_on(job: Job) -> None:
    """Train to the end and publish the result.

    Raises:
        DataError: the data is wrong.
        ConfigError: the adapter does not fit the model.
        ArtefactError: the model or the checkpoints cannot be used.
        NotFiniteError: the loss or a gradient is not finite.
        ResourceError: out of memory or disk.
        KeyboardInterrupt: a signal asked to stop; the last completed step is on the disk.
    """
    start = find_start(job)
    splits = {"train": job.files.train, "val": job.files.val}
    examples = {split: load_examples(path) for split, path in splits.items() if path}
    with memory_errors("while loading the model", fix="choose a smaller model"):
        ready = prepare(examples, job.config)
    progress = _restore(start, ready)
    require_space_for_run(job.run_dir, ready)
    limits = token_limits(job, start)
    values = {
        **describe_run(job.config, job.files, job.identity, ready.model, ready.plan),
        "micro_batch_tokens": job.config.fine_tuning.training.micro_batch_tokens,
        "micro_batches": [asdict(limit) for limit in limits],
    }
    lay_out(job, start)
    with (
        open_record(job.run_dir, values, job.earlier) as record,
        memory_errors("in training", fix="choose a smaller model or more memory"),
    ):
        write_text(job.run_dir / CONFIG_FILE, dump_resolved(job.config))
        _note_events(job, start, record, values)
        memory = MemoryLimit(limits, _note_halvings(record))
        reached = _train(job, ready, progress, memory)
        with uninterrupted():
            publish(job.run_dir, progress, reached, record)


def _restore(start: Start, ready: Prepared) -> Progress:
    if start.checkpoint is None:
        return Progress()
    logger.info("going on after step %d of %d", start.step, ready.plan.n_steps)
    restore_tensors(start.checkpoint.folder, ready.masters, ready.optimizer)
    return read_progress(start.checkpoint.folder)


def _note_events(job: Job, start: Start, record: RunRecord, values: dict[str, Any]) -> None:
    if job.earlier is None:
        return
    was_killed = job.earlier["status"] == "running"
    if was_killed:
        logger.warning(
            "the process before this one was killed; if it was for lack of memory, lower "
            "fine_tuning.training.micro_batch_tokens"
        )
    record.add_event("resumed", step=start.step, was_killed=was_killed)
    for told in start.damage:
        record.add_event("checkpoint damaged", what=told)
    for change in job.accepted_changes:
        record.add_event("data changed", **asdict(change))
    for change in find_changed_surroundings(job.earlier, values):
        logger.warning("%s since the run began: the last digits may differ", change)
        record.add_event("surroundings changed", **asdict(change))


def _note_halvings(record: RunRecord) -> Callable[[Sequence[TokenLimit]], None]:
    def note(limits: Sequence[TokenLimit]) -> None:
        record.change(micro_batches=[asdict(limit) for limit in limits])
        record.add_event("out of memory", **asdict(limits[-1]))

    return note


def _train(job: Job, ready: Prepared, progress: Progress, memory: MemoryLimit) -> LoopResult:
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
        loop = TrainingLoop(run, saver.save, job.config.monitoring.log_every_steps)
        started = time.perf_counter()
        reached = loop.run()
        seconds = time.perf_counter() - started
        recorder.log("end", reached.n_steps, {}, {"end/seconds": seconds})
        return reached


def _listeners(job: Job, n_steps: int, first_step: int) -> Iterator[Listener]:
    monitoring = job.config.monitoring
    if monitoring.tensorboard:
        yield TensorBoardListener(job.run_dir, first_step)
    if job.show_progress:
        yield TrainingProgress(n_steps, monitoring.progress_every_seconds, first_step=first_step)
