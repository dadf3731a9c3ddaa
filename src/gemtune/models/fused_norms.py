"""RMSNorm in a few passes over the activations, where the models' own code takes a dozen."""

from typing import Any

import torch
from torch import Tensor, nn


class _RmsNorm(torch.autograd.Function):
    """weight * (x / rms(x)): x (..., K) is normalised in fp32 and rounded to its type."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x32 = x.float()
        norm = torch.linalg.vector_norm(x32, dim=-1, keepdim=True)
        scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return torch.mul(x32, scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        g = (gradients[0] * weight).float()
        unit = x.float() * scale
        mean = torch.linalg.vecdot(g, unit).unsqueeze(-1).div_(x.shape[-1])
        # `g` is a new tensor: the product above is never the incoming gradient itself.
        return g.addcmul_(unit, mean, value=-1).mul_(scale).to(x.dtype), None, None


class FusedRmsNorm(nn.Module):
    """Stands for a Llama-like RMSNorm whose weight is frozen."""

    def __init__(self, weight: nn.Parameter, eps: float) -> None:
        """Share `weight`, of shape (K,), with the module that it replaces."""
        super().__init__()
        self.weight = weight
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of `x`, of shape (..., K)."""
        normed: Tensor = _RmsNorm.apply(x, self.weight, self.eps)
        return normed


def fuse_rms_norms(model: nn.Module) -> None:
    """Replace the norms of a model that compute what `FusedRmsNorm` computes.

    Llama and its relatives name the small number `variance_epsilon`; Gemma, which adds 1 to the
    weight, does not. Whether a candidate does compute the same is tried out.
    """
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            eps = getattr(child, "variance_epsilon", None)
            if not type(child).__name__.endswith("RMSNorm") or not isinstance(eps, float):
                continue
            if [own for own, _ in child.named_parameters()] != ["weight"]:
                continue
            assert isinstance(child.weight, nn.Parameter)
            fused = FusedRmsNorm(child.weight, eps)
            if child.weight.ndim == 1 and _agree(child, fused):
                setattr(parent, name, fused)


@torch.no_grad()
def _agree(norm: nn.Module, fused: FusedRmsNorm) -> bool:
    """Up to rounding, for numbers whose mean and whose size by groups tell other norms apart."""
    weight = fused.weight
    x = torch.linspace(-1, 2, weight.numel(), device=weight.device, dtype=weight.dtype)
    found, wanted = fused(x), norm(x)
    return found.dtype == wanted.dtype and torch.allclose(
        found, wanted, rtol=4 * torch.finfo(weight.dtype).eps, atol=0
    )
