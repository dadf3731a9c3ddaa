"""The training loop: steps, validation, early stopping."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from gemtune.config.schema import FineTuningConfig
from gemtune.errors import NotFiniteError
from gemtune.fine_tuning.batches import step_rows
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.optimizer import build_optimizer, learning_rate_at, set_learning_rate
from gemtune.fine_tuning.plan import RunPlan
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.step import accumulate_gradients, mean_loss
from gemtune.monitoring.rates import RateMeter
from gemtune.monitoring.recorder import Recorder
from gemtune.monitoring.resources import read_resources

logger = logging.getLogger(__name__)

_FINITE_FIX = (
    "set fine_tuning.training.precision=fp32 or lower fine_tuning.training.learning_rate; if the "
    "base model is to blame, `gemtune evaluate` shows it"
)

SaveWeights = Callable[[Mapping[str, Tensor], bool], None]
"""Called with the fp32 weights by parameter name, and whether they are the best so far."""


@dataclass(frozen=True, slots=True)
class Validation:
    """A validation loss in nats per target token, and after how many steps it was measured."""

    n_steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How the loop ended."""

    n_steps: int
    n_tokens: int
    """Real tokens that went through the model in training."""
    train_loss: float
    """Of the last step."""
    first: Validation | None
    """Before the first step: the loss of the base model."""
    best: Validation | None
    stopped_early: bool


class TrainingLoop:
    """One run: what it needs, and what it has reached so far."""

    def __init__(
        self,
        model: PreTrainedModel,
        masters: MasterWeights,
        train: Sequence[Row],
        val: Sequence[Row],
        plan: RunPlan,
        config: FineTuningConfig,
        recorder: Recorder,
    ) -> None:
        """Prepare the optimizer; nothing is trained yet."""
        self._model, self._masters = model, masters
        self._train, self._val = train, val
        self._plan, self._training = plan, config.training
        self._recorder = recorder
        self._optimizer = build_optimizer(masters.weights, config.training, config.lora)
        self._rates = RateMeter()
        self._validations: list[Validation] = []
        self._n_tokens = 0
        self._loss = math.nan
        self._epoch_started = time.perf_counter()

    def run(self, save: SaveWeights, log_every_steps: int) -> LoopResult:
        """Train for the planned steps, or until validation stops getting better.

        Raises:
            NotFiniteError: a loss or a gradient is not finite; nothing of that step is kept.
        """
        # Models are loaded in eval mode, where their dropout is off.
        self._model.train()
        self._validate(0)
        plan, n_done, stalled = self._plan, 0, False
        while n_done < plan.n_steps and not stalled:
            values = self._train_step(n_done)
            n_done += 1
            # An early stop is only known after validation: a step that ends in one is always told.
            if n_done % log_every_steps == 0 or plan.is_eval_due(n_done):
                self._recorder.log("train", n_done, {**values, **read_resources()})
            if n_done % plan.steps_per_epoch == 0:
                self._end_epoch(n_done)
            if plan.is_eval_due(n_done):
                self._validate(n_done)
                save(self._masters.state(), self._is_best_now())
                stalled = self._has_stalled()
        return self._result(n_done, stalled and n_done < plan.n_steps)

    def _train_step(self, step: int) -> dict[str, float]:
        indices = step_rows(len(self._train), self._plan.effective_batch, step, self._training.seed)
        rows = [self._train[i] for i in indices]
        started = time.perf_counter()
        self._loss = accumulate_gradients(
            self._model,
            self._masters,
            rows,
            max_tokens=self._training.micro_batch_tokens,
            seed=self._training.seed,
            step=step,
        )
        grad_norm = self._clip()
        _require_finite({"loss": self._loss, "gradient norm": grad_norm}, step + 1, rows)
        learning_rate = learning_rate_at(step, self._plan.n_steps, self._training)
        set_learning_rate(self._optimizer, learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._masters.publish()
        n_tokens = sum(len(row.token_ids) for row in rows)
        self._n_tokens += n_tokens
        seconds = time.perf_counter() - started
        self._rates.add(n_tokens, len(rows), seconds)
        return {
            "train/loss": self._loss,
            "train/learning_rate": learning_rate,
            "train/grad_norm": grad_norm,
            "train/epoch": self._plan.epoch_at(step + 1),
            "train/step_tokens": n_tokens,
            "train/step_seconds": seconds,
            "train/tokens_per_second": self._rates.tokens_per_second,
            "train/examples_per_second": self._rates.examples_per_second,
        }

    def _clip(self) -> float:
        limit = self._training.max_grad_norm or math.inf
        return torch.nn.utils.clip_grad_norm_(list(self._masters.parameters()), limit).item()

    def _validate(self, n_done: int) -> None:
        if not self._val:
            return
        loss = mean_loss(self._model, self._val, max_tokens=self._training.micro_batch_tokens)
        if not math.isfinite(loss):
            when = f"after step {n_done}" if n_done else "before the first step: the base model's"
            raise NotFiniteError(f"the validation loss is {loss} {when}", fix=_FINITE_FIX)
        self._validations.append(Validation(n_done, loss))
        self._recorder.log("eval", n_done, {"eval/loss": loss, **_perplexity(loss)})

    def _end_epoch(self, n_done: int) -> None:
        seconds = time.perf_counter() - self._epoch_started
        self._epoch_started = time.perf_counter()
        self._recorder.log(
            "epoch",
            n_done,
            {"epoch/number": n_done // self._plan.steps_per_epoch, "epoch/seconds": seconds},
        )

    def _best(self) -> Validation | None:
        """The lowest validation loss of trained weights; the first of equals."""
        return min(self._validations[1:], key=lambda v: v.loss, default=None)

    def _is_best_now(self) -> bool:
        return not self._val or self._best() is self._validations[-1]

    def _has_stalled(self) -> bool:
        patience, best = self._training.early_stopping_patience, self._best()
        if patience is None or best is None:
            return False
        return len(self._validations) - 1 - self._validations.index(best) >= patience

    def _result(self, n_done: int, stopped_early: bool) -> LoopResult:
        if stopped_early:
            logger.info("stopped early after step %d: validation stopped getting better", n_done)
        return LoopResult(
            n_steps=n_done,
            n_tokens=self._n_tokens,
            train_loss=self._loss,
            first=self._validations[0] if self._val else None,
            best=self._best(),
            stopped_early=stopped_early,
        )


def _require_finite(values: Mapping[str, float], n_steps: int, rows: Sequence[Row]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            shown = ", ".join(row.id for row in rows[:16])
            raise NotFiniteError(
                f"the {name} is {value} at step {n_steps}; rows: {shown}", fix=_FINITE_FIX
            )


def _perplexity(loss: float) -> dict[str, float]:
    """Nothing where it is too large for a float, which no longer tells models apart."""
    try:
        return {"eval/perplexity": math.exp(loss)}
    except OverflowError:
        return {}
