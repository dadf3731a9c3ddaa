"""A linear layer and its LoRA adapter as one operation.

PEFT adds the adapter's output to the layer's in passes of their own, forward and backward. Here the
products add to each other's results.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from gemtune.models.random_masks import draw_mask


class _LoraLinear(torch.autograd.Function):
    """x W^T + bias + scaling (drop(x) A^T) B^T, with a frozen W.

    Shapes: x (..., K), weight (N, K), bias (N,) or None, a (R, K), b (N, R); kept, (T, K) over all
    T vectors of x, says what dropout leaves (its 1 / (1 - p) is a part of scaling), or is None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scaling: float,
        kept: Tensor | None,
    ) -> Tensor:
        x_TK = x.reshape(-1, x.shape[-1])
        scaled_b = b * scaling
        h_TR = _drop(x_TK, kept) @ a.t()
        out_TN = functional.linear(x_TK, weight, bias).addmm_(h_TR, scaled_b.t())
        ctx.save_for_backward(x_TK, weight, a, scaled_b, h_TR, kept)
        ctx.scaling = scaling
        return out_TN.view(*x.shape[:-1], out_TN.shape[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_TK, weight, a, scaled_b, h_TR, kept = ctx.saved_tensors
        shape = gradients[0].shape
        g_TN = gradients[0].reshape(-1, shape[-1])
        d_h_TR = g_TN @ scaled_b
        d_a = d_h_TR.t() @ _drop(x_TK, kept)
        d_b = (g_TN.t() @ h_TR).mul_(ctx.scaling)
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


def fuse_lora_layers(model: nn.Module) -> None:
    """Let the plain LoRA layers of a PEFT model on a CPU train in one operation each.

    Layers with DoRA or a trained bias keep PEFT's own code, and so do layers that compute more than
    a product (quantized ones, those of a library that wraps them), and evaluation.
    """
    for layer in model.modules():
        if type(layer) is Linear and _is_plain(layer):
            layer.forward = partial(_forward, layer, layer.forward)


def _is_plain(layer: Linear) -> bool:
    base = layer.get_base_layer()
    if type(base) not in (nn.Linear, Conv1D) or "forward" in vars(base):
        return False
    bias = base.bias
    return "default" not in layer.lora_variant and (bias is None or not bias.requires_grad)


def _forward(
    layer: Linear, peft_forward: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    base = layer.get_base_layer()
    assert isinstance(base.weight, Tensor)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    # PEFT casts where a model keeps some layers in fp32.
    if not layer.training or not x.dtype == base.weight.dtype == a.dtype:
        return peft_forward(x, *args, **kwargs)
    p = getattr(layer.lora_dropout["default"], "p", 0.0)
    out: Tensor = _LoraLinear.apply(
        x,
        base.weight.t() if layer.fan_in_fan_out else base.weight,
        base.bias,
        a,
        b,
        layer.scaling["default"] / (1 - p),
        draw_mask(torch.Size((x.numel() // x.shape[-1], x.shape[-1])), p) if p else None,
    )
    return out
