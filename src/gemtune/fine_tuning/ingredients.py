"""What the training loop works with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from gemtune.config.schema import TrainingConfig
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.memory_limit import MemoryLimit
from gemtune.fine_tuning.plan import RunPlan
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.state import Progress
from gemtune.monitoring.recorder import Recorder


@dataclass(frozen=True, slots=True, eq=False)
class Ingredients:
    """A model, what it learns from, how, and how far it is."""

    model: PreTrainedModel
    masters: MasterWeights
    optimizer: torch.optim.Optimizer
    train: Sequence[Row]
    val: Sequence[Row]
    """Empty: nothing is validated."""
    plan: RunPlan
    training: TrainingConfig
    recorder: Recorder
    memory: MemoryLimit
    progress: Progress
    """Changed by the loop; what it says is always true of `masters` and `optimizer`."""
