"""The end of a run: the best checkpoint becomes the result."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gemtune.errors import ArtefactError
from gemtune.fine_tuning.loop import LoopResult
from gemtune.fine_tuning.record import RunRecord
from gemtune.fine_tuning.state import TENSORS_FILE, Progress
from gemtune.runs.contents import step_name
from gemtune.runs.files import sync_file
from gemtune.runs.folders import install_files
from gemtune.runs.manifest import MANIFEST_FILE, STATE_FILE, find_damage, write_manifest
from gemtune.runs.run import CHECKPOINTS_DIR, CONFIG_FILE, METRICS_FILE, RUN_FILE

logger = logging.getLogger(__name__)

# What a checkpoint has besides the adapter.
_OF_CHECKPOINTS = (TENSORS_FILE, STATE_FILE, METRICS_FILE, MANIFEST_FILE)


def publish(run_dir: Path, progress: Progress, reached: LoopResult, record: RunRecord) -> None:
    """Copy the best adapter into the run folder, note the end, and list all files with digests.

    Without validation data the last adapter is the best. A damaged checkpoint is passed over: the
    next best one is published, and `run.json` says so.

    Raises:
        ArtefactError: none of the checkpoints in question is whole.
    """
    step, damaged = _choose(run_dir, progress)
    if damaged:
        logger.warning("step %d is published instead: %s", step, "; ".join(damaged))
        record.add_event("another checkpoint published", step=step, damaged=damaged)
        reached = replace(
            reached, best=next((v for v in progress.validations if v.n_steps == step), None)
        )
    folder = run_dir / CHECKPOINTS_DIR / step_name(step)
    install_files(folder, run_dir, skip=_OF_CHECKPOINTS)
    record.finish(reached)
    sync_file(run_dir / METRICS_FILE)
    own = (Path(name) for name in (METRICS_FILE, CONFIG_FILE, RUN_FILE))
    write_manifest(run_dir, [*_published_files(folder), *own])


def _choose(run_dir: Path, progress: Progress) -> tuple[int, list[str]]:
    """The step whose checkpoint is the result, and what is wrong with better ones."""
    damaged = []
    for step in _best_first(progress):
        folder = run_dir / CHECKPOINTS_DIR / step_name(step)
        damage = find_damage(folder) if folder.exists() else ["it is not there any more"]
        if not damage:
            return step, damaged
        damaged.append(f"{folder}: {damage[0]}")
    raise ArtefactError(
        f"no checkpoint is left that could be published: {'; '.join(damaged)}",
        fix="add --overwrite (in Python overwrite=True) to start over",
    )


def _best_first(progress: Progress) -> list[int]:
    trained = [v for v in progress.validations if v.n_steps > 0]
    if not trained:
        return [progress.n_steps]
    return [v.n_steps for v in sorted(trained, key=lambda v: v.loss)]


def _published_files(folder: Path) -> Iterator[Path]:
    """Relative to the checkpoint, and so to the run folder too."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in _OF_CHECKPOINTS:
            yield name
