"""How long the process would need to end in good order, told in time if that is too long."""

import logging

from gemtune.runs.signal_watch import LIMIT_SECONDS

logger = logging.getLogger(__name__)

# The first step of a process sets much up and says little about the others.
_FIRST_MEASURED_STEP = 2
_FIRST_JUDGED_STEP = 10


class StopTime:
    """Warns once if the slowest micro-batch and twice the slowest save exceed what a signal leaves.

    A signal waits for the micro-batch that it strikes, or for a save and then for one more.
    """

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._n_steps = 0
        self._micro_batch_seconds = self._save_seconds = 0.0
        self._is_told = False

    def note_micro_batch(self, seconds: float) -> None:
        """Take in how long a micro-batch of the current step took."""
        if self._n_steps + 1 >= _FIRST_MEASURED_STEP:
            self._micro_batch_seconds = max(self._micro_batch_seconds, seconds)

    def note_save(self, seconds: float) -> None:
        """Take in how long a checkpoint took until it was on the disk."""
        self._save_seconds = max(self._save_seconds, seconds)

    def end_step(self) -> None:
        """Count a step of this process, and warn if it is time to."""
        self._n_steps += 1
        needed = self._micro_batch_seconds + 2 * self._save_seconds
        if self._is_told or self._n_steps < _FIRST_JUDGED_STEP or needed <= LIMIT_SECONDS:
            return
        self._is_told = True
        slow_disk = 2 * self._save_seconds > self._micro_batch_seconds
        logger.warning(
            "SIGTERM may end this run before the last step is saved: a micro-batch takes up to "
            "%.1f s and a checkpoint %.1f s, and the process has %.0f s; %s, and lower "
            "fine_tuning.training.save_every_minutes, so that less is lost",
            self._micro_batch_seconds,
            self._save_seconds,
            LIMIT_SECONDS,
            "use an output folder on a faster disk"
            if slow_disk
            else "lower fine_tuning.training.micro_batch_tokens",
        )
