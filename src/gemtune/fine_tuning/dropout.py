"""Dropout on a CPU at a small part of the price."""

from typing import Any

import torch
from torch import Tensor, nn

from gemtune.models.random_masks import draw_mask


class _DropScaled(torch.autograd.Function):
    """x * mask * scale, in one new tensor each way and with a mask of one byte an element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return mask.to(x.dtype).mul_(x).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return mask.to(gradients[0].dtype).mul_(gradients[0]).mul_(ctx.scale), None, None


class CpuDropout(nn.Module):
    """`nn.Dropout` with cheaper random numbers, seeded by torch's own generator."""

    def __init__(self, p: float) -> None:
        """Zero an element with probability `p`, scale the others by 1 / (1 - p)."""
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements of `x` while training."""
        if not self.training:
            return x
        dropped: Tensor = _DropScaled.apply(x, draw_mask(x.shape, self.p), 1 / (1 - self.p))
        return dropped


def replace_dropout(model: nn.Module) -> None:
    """Put `CpuDropout` in the place of every active dropout layer of a model on a CPU."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Dropout) and child.p > 0:
                setattr(parent, name, CpuDropout(child.p).train(child.training))
