"""Which attention code a model runs."""

import torch
from transformers import PreTrainedModel

# Up to here plain matrix products beat PyTorch's fused attention on a CPU (docs/benchmarks.md);
# above it their memory, quadratic in the length, weighs more.
_LONGEST_PLAIN_TOKENS = 512


def choose_attention(model: PreTrainedModel, device: torch.device, longest_tokens: int) -> None:
    """Set the attention code that is faster for rows of up to `longest_tokens`."""
    if device.type == "cpu" and longest_tokens <= _LONGEST_PLAIN_TOKENS:
        model.set_attn_implementation("eager")
