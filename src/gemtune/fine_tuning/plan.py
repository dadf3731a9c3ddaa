"""How many steps a run has, and after which of them something else happens."""

import math
from dataclasses import dataclass

from gemtune.config.schema import TrainingConfig
from gemtune.fine_tuning.batches import n_steps_per_epoch


@dataclass(frozen=True, slots=True)
class RunPlan:
    """The steps of a run, all counted in optimizer steps."""

    effective_batch: int
    """Rows per optimizer step."""
    steps_per_epoch: int
    n_steps: int
    eval_every_steps: int

    def is_eval_due(self, n_done: int) -> bool:
        """Whether to validate and save after `n_done` steps."""
        return n_done % self.eval_every_steps == 0 or n_done >= self.n_steps

    def epoch_at(self, n_done: int) -> float:
        """Passes over the data after `n_done` steps."""
        return n_done / self.steps_per_epoch


def plan_run(n_rows: int, training: TrainingConfig) -> RunPlan:
    """Lay out a run over `n_rows` training rows."""
    effective_batch = training.batch_size * training.gradient_accumulation_steps
    steps_per_epoch = n_steps_per_epoch(n_rows, effective_batch)
    n_steps = math.ceil(training.epochs * steps_per_epoch)
    return RunPlan(
        effective_batch=effective_batch,
        steps_per_epoch=steps_per_epoch,
        n_steps=min(n_steps, training.max_steps or n_steps),
        eval_every_steps=training.eval_every_steps or steps_per_epoch,
    )
