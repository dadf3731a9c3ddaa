"""The adapter that a study leaves to its user."""

from pathlib import Path

from gemtune.runs.files import make_folder, remove_tree, sync_folder
from gemtune.runs.folders import install_files
from gemtune.runs.run import CHECKPOINTS_DIR, LOCK_FILE

MODEL_DIR = "model"


def publish(run_dir: Path, output_dir: Path) -> None:
    """Put a copy of a run in the place of what was published before.

    What only training needs stays with the run.
    """
    model_dir = output_dir / MODEL_DIR
    fresh = output_dir / f".{MODEL_DIR}.new"
    remove_tree(fresh)
    make_folder(fresh)
    install_files(run_dir, fresh, skip=(CHECKPOINTS_DIR, LOCK_FILE))
    remove_tree(model_dir)
    fresh.rename(model_dir)
    sync_folder(output_dir)
