"""Which attention code a model runs in training."""

import torch
from transformers import PreTrainedModel

from gemtune.models.row_attention import (
    LONGEST_PLAIN_TOKENS,
    ROW_ATTENTION,
    can_attend_by_row,
)


def choose_attention(model: PreTrainedModel, device: torch.device, longest_tokens: int) -> None:
    """Set the attention code that is fastest for training on rows of up to `longest_tokens`."""
    if device.type != "cpu":
        return
    if can_attend_by_row(model, longest_tokens):
        model.set_attn_implementation(ROW_ATTENTION)
    elif longest_tokens <= LONGEST_PLAIN_TOKENS:
        model.set_attn_implementation("eager")
