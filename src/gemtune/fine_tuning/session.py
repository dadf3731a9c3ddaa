"""One process at work on a run: from where the run is to its end."""

import logging
from dataclasses import asdict
from typing import Any

from gemtune.config.dump import dump_resolved
from gemtune.fine_tuning.description import describe_run, find_changed_surroundings
from gemtune.fine_tuning.foundation import load_foundation
from gemtune.fine_tuning.job import Job
from gemtune.fine_tuning.memory_limit import MemoryLimit
from gemtune.fine_tuning.prepare import prepare
from gemtune.fine_tuning.publish import publish
from gemtune.fine_tuning.record import RunRecord, open_record
from gemtune.fine_tuning.space import require_space_for_run
from gemtune.fine_tuning.start import Start, find_start, lay_out, token_limits
from gemtune.fine_tuning.stretch import note_halvings, restore, train
from gemtune.models.memory import memory_errors
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
    foundation = load_foundation(job.files, job.config)
    with memory_errors("while loading the model", fix="choose a smaller model"):
        ready = prepare(foundation, job.config)
    progress = restore(start, ready)
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
        memory = MemoryLimit(limits, note_halvings(record))
        reached = train(job, ready, progress, memory)
        with uninterrupted():
            publish(job.run_dir, progress, reached, record)


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
