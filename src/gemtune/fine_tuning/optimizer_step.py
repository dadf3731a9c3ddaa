"""One optimizer step: all of it or nothing."""

import logging
import math
import time
from collections.abc import Mapping, Sequence

import torch

from gemtune.errors import NotFiniteError
from gemtune.fine_tuning.batches import step_rows
from gemtune.fine_tuning.gradient_request import Asking, GradientRequest
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.optimizer import learning_rate_at, set_learning_rate, step_size
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.step import accumulate_gradients
from gemtune.fine_tuning.stop_time import StopTime
from gemtune.monitoring.rates import RateMeter
from gemtune.monitoring.resources import read_resources
from gemtune.runs.signals import uninterrupted

logger = logging.getLogger(__name__)

FINITE_FIX = (
    "set fine_tuning.training.precision=fp32 or lower fine_tuning.training.learning_rate, which "
    "takes --overwrite or another folder; if the base model is to blame, `gemtune evaluate` shows "
    "it; if one row is, take it out, or let such steps be skipped and go on: "
    "fine_tuning.training.max_skipped_steps"
)


class OptimizerStep:
    """Takes the steps of a run one after another."""

    def __init__(self, run: Ingredients, log_every_steps: int, stop_time: StopTime) -> None:
        """Every `log_every_steps` steps one is recorded, and every one before a validation."""
        self._run, self._log_every_steps, self._stop_time = run, log_every_steps, stop_time
        self._rates = RateMeter()
        self._epoch_started = time.perf_counter()

    def take(self) -> Asking[None]:
        """Take the next step, once its gradients are there.

        Raises:
            NotFiniteError: its loss or gradient is not finite; nothing of it is kept.
            ResourceError: a row does not fit into memory; nothing of the step is kept.
        """
        run, started = self._run, time.perf_counter()
        step, seed = run.progress.n_steps, run.training.seed
        rows = [
            run.train[i] for i in step_rows(len(run.train), run.plan.effective_batch, step, seed)
        ]
        loss = yield GradientRequest(
            run=run,
            rows=rows,
            step=step,
            alone=lambda: run.memory.fit(
                lambda tokens: self.gradients(rows, step, tokens), rows, step, in_training=True
            ),
            note_micro_batch=self._stop_time.note_micro_batch,
        )
        grad_norm = self._clip()
        learning_rate = learning_rate_at(step, run.plan.n_steps, run.training)
        looked_at = {
            "loss": loss,
            "gradient norm": grad_norm,
            "step size": step_size(run.optimizer, learning_rate),
        }
        wrong = _not_finite(looked_at, step + 1, rows)
        if wrong and len(run.progress.skipped_steps) >= run.training.max_skipped_steps:
            raise NotFiniteError(wrong, fix=FINITE_FIX)
        # Weights, counters and log change together: a signal comes before all of it or after.
        with uninterrupted():
            if wrong:
                self._skip(rows, wrong)
            else:
                self._update(rows, loss, grad_norm, started)
            if run.progress.n_steps % run.plan.steps_per_epoch == 0:
                self._end_epoch()

    def gradients(self, rows: Sequence[Row], step: int, max_tokens: int) -> float:
        """Replace the gradients by those of `rows`, in parts of `max_tokens`; return their loss."""
        run = self._run
        # An attempt before this one may have run out of memory half way.
        run.masters.drop_gradients()
        return accumulate_gradients(
            run.model,
            run.masters,
            rows,
            max_tokens=max_tokens,
            seed=run.training.seed,
            step=step,
            on_micro_batch=self._stop_time.note_micro_batch,
        )

    def _clip(self) -> float:
        limit = self._run.training.max_grad_norm or math.inf
        return torch.nn.utils.clip_grad_norm_(list(self._run.masters.parameters()), limit).item()

    def _update(self, rows: Sequence[Row], loss: float, grad_norm: float, started: float) -> None:
        run = self._run
        learning_rate = learning_rate_at(run.progress.n_steps, run.plan.n_steps, run.training)
        set_learning_rate(run.optimizer, learning_rate)
        run.optimizer.step()
        run.masters.publish()
        n_tokens = self._count(rows)
        run.progress.train_loss = loss
        seconds = time.perf_counter() - started
        self._rates.add(n_tokens, len(rows), seconds)
        n_done = run.progress.n_steps
        # An early stop is only known after validation: a step that ends in one is always told.
        if n_done % self._log_every_steps == 0 or run.plan.is_eval_due(n_done):
            values = {
                "train/loss": loss,
                "train/learning_rate": learning_rate,
                "train/grad_norm": grad_norm,
                "train/epoch": run.plan.epoch_at(n_done),
                "train/step_tokens": n_tokens,
            }
            run.recorder.log("train", n_done, values, self._timings(seconds))

    def _skip(self, rows: Sequence[Row], wrong: str) -> None:
        progress = self._run.progress
        self._count(rows)
        progress.skipped_steps.append(progress.n_steps)
        logger.warning("step %d is skipped: %s", progress.n_steps, wrong)
        number = len(progress.skipped_steps)
        self._run.recorder.log("skipped", progress.n_steps, {"skipped/number": number})

    def _count(self, rows: Sequence[Row]) -> int:
        """Note that a step is over; its gradient is not needed any more."""
        self._run.masters.drop_gradients()
        n_tokens = sum(len(row.token_ids) for row in rows)
        self._run.progress.n_steps += 1
        self._run.progress.n_tokens += n_tokens
        return n_tokens

    def _timings(self, step_seconds: float) -> dict[str, float]:
        return {
            "train/step_seconds": step_seconds,
            "train/tokens_per_second": self._rates.tokens_per_second,
            "train/examples_per_second": self._rates.examples_per_second,
            **read_resources(),
        }

    def _end_epoch(self) -> None:
        run = self._run
        seconds = time.perf_counter() - self._epoch_started
        self._epoch_started = time.perf_counter()
        number = run.progress.n_steps // run.plan.steps_per_epoch
        timings = {"epoch/seconds": seconds}
        run.recorder.log("epoch", run.progress.n_steps, {"epoch/number": number}, timings)


def _not_finite(values: Mapping[str, float], n_steps: int, rows: Sequence[Row]) -> str:
    for name, value in values.items():
        if not math.isfinite(value):
            shown = ", ".join(row.id for row in rows[:16])
            return f"the {name} is {value} at step {n_steps}; rows: {shown}"
    return ""
