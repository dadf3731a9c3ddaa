"""`finetune_model`: from a data folder to an adapter folder.

torch is not imported before it is clear that there is something to do.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemtune.config.schema import Config
from gemtune.data.files import find_data_files
from gemtune.fine_tuning.identity import (
    changed_inputs_error,
    describe_identity,
    find_changes,
    is_about_data,
)
from gemtune.fine_tuning.job import Job
from gemtune.runs.manifest import find_damage
from gemtune.runs.mirror import RunMirror
from gemtune.runs.mounts import warn_about_fuse
from gemtune.runs.run import open_run, read_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """A finished run."""

    output_dir: Path
    """The adapter, its tokenizer and the record of the run."""
    n_steps: int
    n_tokens: int
    """Real tokens that went through the model in training."""
    seconds: float
    """Wall time of training, over all processes that worked on the run and were not killed."""
    base_loss: float | None
    """Validation loss of the base model, nats per token; None without validation data."""
    best_loss: float | None
    """Lowest validation loss; the adapter in `output_dir` is the one that reached it."""
    stopped_early: bool
    skipped_steps: tuple[int, ...]
    """Steps (from 1) that were left out because their loss or gradient was not finite."""
    was_done: bool
    """The run was finished before; nothing has been trained now."""


def finetune_model(
    data_dir: str | Path,
    output_dir: str | Path,
    config: Config | None = None,
    *,
    overwrite: bool = False,
    allow_changed_data: bool = False,
    show_progress: bool = False,
    mirror: RunMirror | None = None,
) -> FinetuneResult:
    """Fine-tune a model with LoRA on the rows of a folder, or go on with a run that broke off.

    The loss is the mean over the tokens of the answers of a whole optimizer step. The best adapter
    by validation loss (without validation data: the last) lies in `output_dir` at the end.

    The same call starts a run and goes on with it: the result is the same, byte for byte, as if
    nothing had happened. A KeyboardInterrupt leaves the last completed step on the disk.

    Args:
        data_dir: Folder with train.jsonl and, if there is one, val.jsonl.
        output_dir: Run folder; made if it is not there.
        config: Everything else; the defaults where it is missing.
        overwrite: Start over, and replace an earlier run in `output_dir`.
        allow_changed_data: Go on with a run though its data is not what it was.
        show_progress: Report on stderr while it runs.
        mirror: Follows the run to a second home, such as a bucket.

    Raises:
        DataError: the data is wrong; no model has been loaded yet then.
        ConfigError: the adapter does not fit the model, or a row exceeds what the model takes.
        UsageError: `output_dir` holds other results or another process works in it.
        ArtefactError: the model cannot be used, or the run in `output_dir` was started with
            something else or has no checkpoint that is whole.
        PrerequisiteError: the model is on a hub that cannot be reached.
        NotFiniteError: the loss or a gradient is not finite.
        ResourceError: out of memory or disk.
    """
    config, run_dir = config or Config(), Path(output_dir)
    warn_about_fuse(run_dir)
    files = find_data_files(Path(data_dir))
    with open_run(run_dir, overwrite=overwrite) as earlier:
        identity = describe_identity(config, files)
        changes = find_changes(earlier["identity"], identity) if earlier else []
        if changes and not (allow_changed_data and all(map(is_about_data, changes))):
            raise changed_inputs_error(run_dir, changes)
        if earlier and not changes and _is_finished(run_dir, earlier):
            return _result(run_dir, earlier, was_done=True)
        from gemtune.fine_tuning.session import work_on  # noqa: PLC0415 - loads torch

        work_on(Job(run_dir, config, files, identity, earlier, changes, show_progress, mirror))
        return _result(run_dir, read_run(run_dir), was_done=False)


def _is_finished(run_dir: Path, record: Mapping[str, Any]) -> bool:
    if record["status"] != "done":
        return False
    damage = find_damage(run_dir)
    for told in damage:
        logger.warning("%s: %s; it is made again from the checkpoints", run_dir, told)
    return not damage


def _result(run_dir: Path, record: Mapping[str, Any], *, was_done: bool) -> FinetuneResult:
    reached = record["result"]
    return FinetuneResult(
        output_dir=run_dir,
        n_steps=reached["n_steps"],
        n_tokens=reached["n_tokens"],
        seconds=record["train_seconds"],
        base_loss=reached["first"] and reached["first"]["loss"],
        best_loss=reached["best"] and reached["best"]["loss"],
        stopped_early=reached["stopped_early"],
        skipped_steps=tuple(reached["skipped_steps"]),
        was_done=was_done,
    )
