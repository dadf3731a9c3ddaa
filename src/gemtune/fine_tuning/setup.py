"""`setup_peft_model`: a LoRA adapter on a base model, without touching that model."""

import copy
import logging
from collections.abc import Sequence

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from gemtune.config import schema
from gemtune.errors import ConfigError
from gemtune.fine_tuning.targets import (
    describe_targets,
    find_target_modules,
    has_transposed_weights,
)
from gemtune.models.quiet import quiet_transformers

logger = logging.getLogger(__name__)


def setup_peft_model(model: PreTrainedModel, config: schema.FineTuningConfig) -> PeftModel:
    """Put a LoRA adapter on a decoder-only model.

    The result shares the memory of the base weights with `model`, but has modules of its own:
    `model` keeps its modules, its weights and its `requires_grad` flags, and answers as before.

    Args:
        model: The base model; weights of any floating type, or quantized.
        config: `lora` says what the adapter is; `training.seed` decides its start. The caller's
            random state is not touched.

    Returns:
        The adapted model; only the adapter requires gradients, in fp32 for 16-bit bases.

    Raises:
        ConfigError: `lora.target_modules` matches no layer of this model or one that PEFT cannot
            adapt, or `lora.init` cannot be done with `lora.r`.
    """
    lora = config.lora
    names = find_target_modules(model, lora.target_modules)
    _require_rank(lora, model, names)
    n_base = count_parameters(model)
    peft_config = LoraConfig(
        r=lora.r,
        # PEFT declares whole numbers, but only ever divides by r.
        lora_alpha=lora.alpha,  # type: ignore[bad-argument-type]
        lora_dropout=lora.dropout,
        target_modules=names,
        bias=lora.bias,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        init_lora_weights=True if lora.init == "default" else lora.init,
        fan_in_fan_out=has_transposed_weights(model, names),
        task_type=TaskType.CAUSAL_LM,
    )
    with torch.random.fork_rng(), quiet_transformers():
        torch.manual_seed(config.training.seed)
        adapted = _adapt(share_weights(model), peft_config)
    _own_trained_weights(adapted)
    n_trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    logger.info("adapter on %d layers: %s", len(names), describe_targets(names))
    logger.info("training %s of %s parameters (%.2f %%)", *_counts(n_trained, n_base))
    return adapted


def count_parameters(model: nn.Module) -> int:
    """Count the weights of a model; a packed 4-bit weight counts as the numbers it stands for."""
    return sum(
        p.numel() * 2 * p.element_size() if type(p).__name__ == "Params4bit" else p.numel()
        for p in model.parameters()
    )


def _adapt(model: PreTrainedModel, peft_config: LoraConfig) -> PeftModel:
    try:
        adapted = get_peft_model(model, peft_config)
    except ValueError as error:
        raise ConfigError(
            f"fine_tuning.lora.target_modules: PEFT cannot adapt this model: {error}",
            fix="name other layers as a list or a regular expression",
        ) from error
    assert isinstance(adapted, PeftModel)
    return adapted


def share_weights(model: PreTrainedModel) -> PreTrainedModel:
    """Copy the modules of a model, not the memory of its weights; none of the copy is trained."""
    shared: dict[int, object] = {}
    for parameter in model.parameters():
        twin = copy.copy(parameter)
        twin.requires_grad_(False)
        shared[id(parameter)] = twin
    for buffer in model.buffers():
        shared[id(buffer)] = buffer
    return copy.deepcopy(model, shared)


def _own_trained_weights(adapted: PeftModel) -> None:
    """Give trained biases of the base memory of their own; training would change the caller's."""
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.clone()


def _require_rank(lora: schema.LoraConfig, model: PreTrainedModel, names: Sequence[str]) -> None:
    """PEFT would stop at an odd rank without naming the key, and fall short of a high one."""
    if lora.init == "orthogonal" and lora.r % 2:
        raise ConfigError(
            f"fine_tuning.lora.init=orthogonal needs an even rank, not fine_tuning.lora.r={lora.r}",
            fix=f"set fine_tuning.lora.r={lora.r + 1}",
        )
    if lora.init != "pissa":
        return
    highest = min(min(model.get_parameter(f"{name}.weight").shape) for name in names)
    if lora.r > highest:
        raise ConfigError(
            f"fine_tuning.lora.init=pissa splits the weights into at most {highest} components "
            f"for this model, fewer than fine_tuning.lora.r={lora.r}",
            fix=f"set fine_tuning.lora.r={highest} or less",
        )


def _counts(n_trained: int, n_base: int) -> tuple[str, str, float]:
    return f"{n_trained:,}", f"{n_base:,}", 100 * n_trained / n_base
