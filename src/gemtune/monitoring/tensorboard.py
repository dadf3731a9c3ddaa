"""The records of a run as TensorBoard scalars."""

from collections.abc import Mapping
from pathlib import Path

from gemtune.monitoring.recorder import Kind
from gemtune.runs.run import TENSORBOARD_DIR

_FLUSH_SECONDS = 10


class TensorBoardListener:
    """Writes every value as a scalar of its own name into `run_dir/tensorboard`."""

    def __init__(self, run_dir: Path, first_step: int = 0) -> None:
        """Create the folder and an event file in it.

        What earlier files say of `first_step` and later is not shown any more: a resumed run tells
        it again.
        """
        # Not tensorboard's own writer: its scalars are tensors, which most log readers overlook.
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - loads torch

        self._writer = SummaryWriter(
            run_dir / TENSORBOARD_DIR, purge_step=first_step or None, flush_secs=_FLUSH_SECONDS
        )

    def log(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        """Queue the scalars; a thread of the writer brings them to the disk."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Wait until all scalars are on the disk."""
        self._writer.close()
