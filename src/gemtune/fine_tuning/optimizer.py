"""AdamW with the right parameter groups, and the learning rate of every step."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from gemtune.config.schema import LoraConfig, TrainingConfig


def build_optimizer(
    weights: Mapping[str, nn.Parameter], training: TrainingConfig, lora: LoraConfig
) -> torch.optim.AdamW:
    """AdamW over the trained weights.

    Weight decay acts on the adapter matrices only, never on biases and magnitude vectors. With
    LoRA+ the B matrices learn `lora.lora_plus_ratio` times faster (arXiv:2402.12354).
    """
    groups = {
        (is_b, decays): {
            "params": [w for name, w in weights.items() if _kind(name, w) == (is_b, decays)],
            "weight_decay": training.weight_decay if decays else 0.0,
            "ratio": lora.lora_plus_ratio if is_b else 1.0,
        }
        for is_b in (False, True)
        for decays in (False, True)
    }
    return torch.optim.AdamW(
        [group for group in groups.values() if group["params"]], lr=training.learning_rate
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of the next step, LoRA+ ratio included."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["ratio"]


def step_size(optimizer: torch.optim.Optimizer, learning_rate: float) -> float:
    """The largest factor of an AdamW step; infinite where fp32 has no such number."""
    factors = (group["ratio"] / (1 - group["betas"][0]) for group in optimizer.param_groups)
    largest = learning_rate * max(factors)
    return largest if largest <= torch.finfo(torch.float32).max else math.inf


def n_warmup_steps(training: TrainingConfig, n_steps: int) -> int:
    """Warm-up in steps; one that the user gave in steps takes at most half of the run."""
    if training.warmup_steps is None:
        return round(training.warmup_ratio * n_steps)
    return min(training.warmup_steps, n_steps // 2)


def learning_rate_at(step: int, n_steps: int, training: TrainingConfig) -> float:
    """The learning rate of optimizer step `step` (0-based) of `n_steps`.

    It rises linearly over the warm-up, then stays, falls linearly or falls as a half cosine; the
    last two would reach zero one step after the last.
    """
    n_warmup = n_warmup_steps(training, n_steps)
    if step < n_warmup:
        return training.learning_rate * (step + 1) / (n_warmup + 1)
    progress = (step - n_warmup) / max(1, n_steps - n_warmup)
    match training.lr_scheduler:
        case "constant":
            return training.learning_rate
        case "linear":
            return training.learning_rate * (1 - progress)
        case "cosine":
            return training.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def _kind(name: str, weight: nn.Parameter) -> tuple[bool, bool]:
    is_matrix = weight.ndim > 1
    return "lora_B" in name and is_matrix, is_matrix
