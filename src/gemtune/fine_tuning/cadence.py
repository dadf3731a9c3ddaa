"""When a checkpoint is due."""

import time
from collections.abc import Callable

from gemtune.config.schema import TrainingConfig
from gemtune.fine_tuning.plan import RunPlan


class SaveCadence:
    """At validations, and every so many steps and minutes."""

    def __init__(
        self, plan: RunPlan, training: TrainingConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start the clock."""
        self._plan, self._clock = plan, clock
        self._every_steps = training.save_every_steps
        self._every_seconds = 60 * training.save_every_minutes
        self._saved_at = clock()

    def is_due(self, n_done: int) -> bool:
        """Whether to save after `n_done` steps; before a validation, because that takes long."""
        return (
            self._plan.is_eval_due(n_done)
            or (self._every_steps is not None and n_done % self._every_steps == 0)
            or self._clock() - self._saved_at >= self._every_seconds
        )

    def note_saved(self) -> None:
        """A checkpoint was written just now."""
        self._saved_at = self._clock()
