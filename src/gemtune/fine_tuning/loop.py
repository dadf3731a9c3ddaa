"""The training loop: steps, validation, early stopping, and leaving in good order."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from gemtune.errors import NotFiniteError, ResourceError
from gemtune.fine_tuning.cadence import SaveCadence
from gemtune.fine_tuning.gradient_request import Asking, answer_alone
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.optimizer_step import FINITE_FIX, OptimizerStep
from gemtune.fine_tuning.state import Progress
from gemtune.fine_tuning.step import mean_loss
from gemtune.fine_tuning.stop_time import StopTime
from gemtune.fine_tuning.validation import (
    Validation,
    base_validation,
    best_validation,
    has_stalled,
)
from gemtune.runs.signals import raise_if_stopped, uninterrupted

logger = logging.getLogger(__name__)

Save = Callable[[Progress], float]
"""Makes a checkpoint of the weights, the optimizer and these counters.

Returns the seconds until it was on the disk.
"""
OnStep = Callable[[], None]


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How the loop ended."""

    n_steps: int
    n_tokens: int
    """Real tokens that went through the model in training."""
    train_loss: float | None
    """Of the last step that was not skipped."""
    first: Validation | None
    """Before the first step: the loss of the base model."""
    best: Validation | None
    stopped_early: bool
    skipped_steps: tuple[int, ...]


class TrainingLoop:
    """From where a run is to its end."""

    def __init__(
        self,
        run: Ingredients,
        save: Save,
        log_every_steps: int,
        *,
        last_step: int | None = None,
        on_step: OnStep = lambda: None,
    ) -> None:
        """Nothing is trained yet.

        Args:
            run: What is trained, and how far it is.
            save: Makes the checkpoints.
            log_every_steps: How many steps make a record.
            last_step: Stop after this step, in the middle of the schedule; None for its end.
            on_step: Called after every step; what it raises ends the run.
        """
        self._run, self._save_progress, self._on_step = run, save, on_step
        self._last_step = run.plan.n_steps if last_step is None else last_step
        self._stop_time = StopTime()
        self._step = OptimizerStep(run, log_every_steps, self._stop_time)
        self._cadence = SaveCadence(run.plan, run.training)
        # One that could not be written is not tried again on the way out.
        self._last_save_tried = run.progress.n_steps

    def run(self) -> LoopResult:
        """Train for the planned steps, or until validation stops getting better.

        Whatever stops it leaves the last completed step saved.

        Raises:
            NotFiniteError: a loss or a gradient is not finite; nothing of that step is kept.
            ResourceError: a row does not fit into memory, or a checkpoint not on the disk.
            KeyboardInterrupt: a signal asked to stop.
        """
        return answer_alone(self.asking())

    def asking(self) -> Asking[LoopResult]:
        """The same, for whoever answers the requests."""
        try:
            return (yield from self._run_to_the_end())
        except (KeyboardInterrupt, NotFiniteError, ResourceError):
            if self._last_save_tried != self._run.progress.n_steps:
                self._save()
            raise

    def _run_to_the_end(self) -> Asking[LoopResult]:
        # Models are loaded in eval mode, where their dropout is off.
        self._run.model.train()
        self._try_longest_row()
        self._validate_if_due()
        while not self._is_over():
            raise_if_stopped()
            yield from self._step.take()
            # Before a validation and not after it, because that takes long.
            if self._cadence.is_due(self._run.progress.n_steps):
                self._save()
            self._stop_time.end_step()
            self._on_step()
            self._validate_if_due()
        return self._result()

    def _try_longest_row(self) -> None:
        """Find out now, and not hours later, whether memory holds the largest micro-batch.

        All but rows that are longer than a micro-batch stay below its size, as the first step does.
        """
        run = self._run
        longest = max(run.train, key=lambda row: len(row.token_ids))
        size = run.memory.tokens_at(0, in_training=True)
        if run.progress.n_steps == 0 and len(longest.token_ids) > size:
            run.memory.fit(
                lambda tokens: self._step.gradients([longest], 0, tokens),
                [longest],
                0,
                in_training=True,
            )
            run.masters.drop_gradients()

    def _save(self) -> None:
        self._last_save_tried = self._run.progress.n_steps
        self._stop_time.note_save(self._save_progress(self._run.progress))
        self._cadence.note_saved()

    def _is_over(self) -> bool:
        return self._run.progress.n_steps >= self._last_step or self._has_stalled()

    def _has_stalled(self) -> bool:
        run = self._run
        return has_stalled(run.progress.validations, run.training.early_stopping_patience)

    def _validate_if_due(self) -> None:
        """Validate, unless it was done before the run was broken off."""
        run, n_done = self._run, self._run.progress.n_steps
        is_due = bool(run.val) and (n_done == 0 or run.plan.is_eval_due(n_done))
        if is_due and all(found.n_steps != n_done for found in run.progress.validations):
            self._validate(n_done)

    def _validate(self, n_done: int) -> None:
        run, started = self._run, time.perf_counter()
        loss = run.memory.fit(
            lambda tokens: mean_loss(run.model, run.val, max_tokens=tokens),
            run.val,
            n_done,
            in_training=False,
        )
        if not math.isfinite(loss):
            when = f"after step {n_done}" if n_done else "before the first step: the base model's"
            raise NotFiniteError(f"the validation loss is {loss} {when}", fix=FINITE_FIX)
        seconds = time.perf_counter() - started
        with uninterrupted():
            run.progress.validations.append(Validation(n_done, loss))
            values = {"eval/loss": loss, **_perplexity(loss)}
            run.recorder.log("eval", n_done, values, {"eval/seconds": seconds})

    def _result(self) -> LoopResult:
        progress = self._run.progress
        stopped_early = self._has_stalled() and progress.n_steps < self._run.plan.n_steps
        if stopped_early:
            logger.info(
                "stopped early after step %d: validation stopped getting better", progress.n_steps
            )
        return LoopResult(
            n_steps=progress.n_steps,
            n_tokens=progress.n_tokens,
            train_loss=progress.train_loss,
            first=base_validation(progress.validations),
            best=best_validation(progress.validations),
            stopped_early=stopped_early,
            skipped_steps=tuple(progress.skipped_steps),
        )


def _perplexity(loss: float) -> dict[str, float]:
    """Nothing where it is too large for a float, which no longer tells models apart."""
    try:
        return {"eval/perplexity": math.exp(loss)}
    except OverflowError:
        return {}
