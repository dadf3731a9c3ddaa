"""What a trial leaves in its folder, and what of it is removed when nobody needs it any more."""

from pathlib import Path

from gemtune.errors import ArtefactError
from gemtune.runs.checkpoints import keep_checkpoints, newest_checkpoint
from gemtune.runs.run import CHECKPOINTS_DIR


def parked_adapter(trial_dir: Path) -> Path:
    """The adapter folder of a parked trial, where it stands now.

    Raises:
        ArtefactError: there is none, or none that is whole.
    """
    checkpoint, damage = newest_checkpoint(trial_dir / CHECKPOINTS_DIR)
    if checkpoint is None:
        raise ArtefactError(
            f"{trial_dir} holds no adapter that is whole: {'; '.join(damage) or 'none was parked'}",
            fix="run the same command again: the trial is trained again",
        )
    return checkpoint.folder


def forget_state(trial_dir: Path) -> None:
    """Remove weights and optimizer of a trial that does not go on; its record stays.

    The trial could still be advanced: it would begin anew and reach the same.
    """
    root = trial_dir / CHECKPOINTS_DIR
    if root.exists():
        keep_checkpoints(root, ())
