"""A frozen linear layer with the adapters of several trials.

The ranks of all adapters lie side by side, R in all, so that two products serve them all; what a
token has no part in is set to zero in between. Unlike a product for each adapter, padded to the
largest rank and batch, this takes batches of any size and mixed ranks as they are.
"""

from collections.abc import Sequence
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from gemtune.hyperparameter.packing.lanes import Lanes


class _PackedLinear(torch.autograd.Function):
    """x W^T + bias + (gains * (drop(x) A^T)) B^T, with a frozen W.

    Shapes: x (..., K), T vectors in all; weight (N, K), bias (N,) or None, a (R, K), b (N, R),
    gains (T, R), kept (T, K) or None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        gains: Tensor,
        kept: Tensor | None,
    ) -> Tensor:
        x_TK = x.reshape(-1, x.shape[-1])
        h_TR = (_drop(x_TK, kept) @ a.t()).mul_(gains)
        out_TN = functional.linear(x_TK, weight, bias).addmm_(h_TR, b.t())
        ctx.save_for_backward(x_TK, weight, a, b, h_TR, gains, kept)
        return out_TN.view(*x.shape[:-1], out_TN.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_TK, weight, a, b, h_TR, gains, kept = ctx.saved_tensors
        shape = gradients[0].shape
        g_TN = gradients[0].reshape(-1, shape[-1])
        d_h_TR = (g_TN @ b).mul_(gains)
        d_a = d_h_TR.t() @ _drop(x_TK, kept)
        d_b = g_TN.t() @ h_TR
        if not ctx.needs_input_grad[0]:
            return None, None, None, d_a, d_b, None, None
        d_x_TK = g_TN @ weight
        if kept is None:
            d_x_TK.addmm_(d_h_TR, a)
        else:
            d_x_TK.add_(_drop(d_h_TR @ a, kept))
        return d_x_TK.view(*shape[:-1], d_x_TK.shape[-1]), None, None, d_a, d_b, None, None


def _drop(x: Tensor, kept: Tensor | None) -> Tensor:
    return x if kept is None else torch.where(kept, x, 0)


def _weights(layer: Linear) -> tuple[Tensor, Tensor]:
    a, b = layer.lora_A["default"], layer.lora_B["default"]
    assert isinstance(a, nn.Linear) and isinstance(b, nn.Linear)
    return a.weight, b.weight


class PackedLinear(nn.Module):
    """Stands for a layer of the base; each token sees the adapter that it belongs to."""

    def __init__(self, base: nn.Linear | Conv1D, adapted: Sequence[Linear], lanes: Lanes) -> None:
        """Share memory with a layer of the base, and with the same layer of each trial's model.

        Args:
            base: Frozen.
            adapted: The layers with the adapters; their weights become views of those of this one,
                so that a trial that changes its own changes them here.
            lanes: Says before each pass which token belongs to which adapter.
        """
        super().__init__()
        self.base, self._lanes = base, lanes
        own = [_weights(layer) for layer in adapted]
        self.a = nn.Parameter(torch.cat([a.detach() for a, _ in own]))
        self.b = nn.Parameter(torch.cat([b.detach() for _, b in own], dim=1))
        self._own = own
        for (own_a, own_b), (a, b) in zip(own, self._parts(self.a, self.b), strict=True):
            own_a.data, own_b.data = a, b

    def hand_over_gradients(self, numbers: Sequence[int]) -> None:
        """Give the gradients of the last pass to the trials that took part in it."""
        assert self.a.grad is not None and self.b.grad is not None
        parts = self._parts(self.a.grad, self.b.grad)
        for number in numbers:
            own_a, own_b = self._own[number]
            own_a.grad, own_b.grad = parts[number]
        self.a.grad = self.b.grad = None

    def _parts(self, a_RK: Tensor, b_NR: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The part of each trial."""
        ranks = [len(a) for a, _ in self._own]
        return list(zip(a_RK.detach().split(ranks), b_NR.detach().split(ranks, 1), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (lines, tokens, K) to (lines, tokens, N)."""
        base, lanes = self.base, self._lanes
        out: Tensor = _PackedLinear.apply(
            x,
            base.weight.t() if isinstance(base, Conv1D) else base.weight,
            base.bias,
            self.a,
            self.b,
            lanes.gains,
            lanes.draw_kept(x),
        )
        return out
