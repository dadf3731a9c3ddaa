"""Runs over random rows that can be driven alone and together."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from gemtune.config.schema import FineTuningConfig
from gemtune.fine_tuning.dropout import replace_dropout
from gemtune.fine_tuning.fused_lora import fuse_lora_layers
from gemtune.fine_tuning.gradient_request import Asking, answer_alone
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.optimizer import build_optimizer
from gemtune.fine_tuning.optimizer_step import OptimizerStep
from gemtune.fine_tuning.plan import plan_run
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.fine_tuning.state import Progress
from gemtune.fine_tuning.stop_time import StopTime
from gemtune.hyperparameter.packing.pack import train_together
from gemtune.models.attention import choose_attention
from gemtune.models.fused_norms import fuse_rms_norms
from gemtune.monitoring.recorder import Recorder

N_WORDS = 260
ROWS_PER_MICRO_BATCH_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Setting:
    """What tells one run from the others; `batch_size` makes steps of 1, 2 or 4 micro-batches."""

    r: int
    alpha: float
    learning_rate: float
    weight_decay: float
    dropout: float
    batch_size: int
    seed: int = 7


MIXED = (
    Setting(8, 16, 1e-3, 0.01, 0.0, 2),
    Setting(16, 32, 3e-3, 0.05, 0.1, 4),
    Setting(4, 32, 1e-2, 0.1, 0.2, 8),
    Setting(2, 64, 2e-3, 0.0, 0.3, 2),
)


def load_base(folder: Path, dtype: torch.dtype, *, by_row: bool = True) -> PreTrainedModel:
    """A model without dropout of its own, in training's attention where `by_row`."""
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    extra = quiet if "gpt2" in folder.name else {}
    base = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, **extra)
    if by_row:
        choose_attention(base, torch.device("cpu"), 40)
    return base


def make_rows(n_rows: int = 24, seed: int = 0) -> list[Row]:
    """Random rows of 3 to 40 tokens with random targets; the last token is always one."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(n_rows):
        length = int(random.integers(3, 41))
        trained = random.random(length) < 0.5
        trained[-1] = True
        rows.append(Row(f"row-{i}", random.integers(5, N_WORDS, length), trained))
    return rows


def make_run(
    base: PreTrainedModel, setting: Setting, rows: Sequence[Row], *, is_plain: bool = False
) -> Ingredients:
    """Put the adapter of a setting on `base`, as a trial does; B is not zero, so A learns too.

    `is_plain` leaves all of it to PEFT's own code.
    """
    lora = {"r": setting.r, "alpha": setting.alpha, "dropout": setting.dropout}
    training = {
        "learning_rate": setting.learning_rate,
        "weight_decay": setting.weight_decay,
        "batch_size": setting.batch_size,
        "seed": setting.seed,
        "epochs": 10,
        "micro_batch_tokens": ROWS_PER_MICRO_BATCH_TOKENS,
    }
    config = FineTuningConfig.model_validate({"lora": lora, "training": training})
    model = setup_peft_model(base, config)
    if not is_plain:
        replace_dropout(model)
        fuse_lora_layers(model)
        fuse_rms_norms(model)
    network = model.get_base_model()
    assert isinstance(network, PreTrainedModel)
    _learn_something(network, setting.seed)
    masters = MasterWeights(network, base.dtype)
    limit = TokenLimit(0, False, config.training.micro_batch_tokens)
    return Ingredients(
        model=network.train(),
        masters=masters,
        optimizer=build_optimizer(masters.weights, config.training, config.lora),
        train=rows,
        val=(),
        plan=plan_run(len(rows), config.training),
        training=config.training,
        recorder=Recorder(Path("run"), io.StringIO(), io.StringIO(), ()),
        memory=MemoryLimit([limit], lambda _: None),
        progress=Progress(),
    )


def _learn_something(model: PreTrainedModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            drawn = torch.randn(parameter.shape, generator=generator) * 0.02
            parameter.data.copy_(drawn)


def steps_of(run: Ingredients, n_steps: int) -> Asking[list[float]]:
    """Take steps; the losses come in the end."""
    step, losses = OptimizerStep(run, 10**6, StopTime()), []
    for _ in range(n_steps):
        yield from step.take()
        assert run.progress.train_loss is not None
        losses.append(run.progress.train_loss)
    return losses


def train_alone(run: Ingredients, n_steps: int) -> list[float]:
    """Drive a run with its own model."""
    return answer_alone(steps_of(run, n_steps))


def train_packed(
    base: PreTrainedModel, runs: Sequence[Ingredients], n_steps: Sequence[int]
) -> list[list[float]]:
    """Drive runs together."""
    asking = [steps_of(run, n) for run, n in zip(runs, n_steps, strict=True)]
    return train_together(base, asking)


def largest_difference(one: Ingredients, other: Ingredients) -> float:
    """Of the weights of two runs, relative to the largest of each matrix."""
    mine, yours = one.masters.weights, other.masters.weights
    assert mine.keys() == yours.keys()
    return max(_difference(mine[name], yours[name]) for name in mine)


def _difference(one: Tensor, other: Tensor) -> float:
    return ((one - other).abs().max() / other.abs().max()).item()
