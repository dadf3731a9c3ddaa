"""Cross-entropy straight from hidden states: the logits of all targets never exist at once."""

from typing import Any

import torch
from torch import Tensor

# Rows of logits at a time; with 49k to 262k words in fp32 that is 12 to 64 MiB.
_CHUNK_TARGETS = 64


class _HeadLoss(torch.autograd.Function):
    """Sum of -log softmax(h W^T + bias)[target]; h (N, K), weight (V, K), targets (N,).

    The gradient needs the same logits as the loss, so both are computed while a chunk is there.
    """

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> Tensor:
        d_h = torch.empty_like(h)
        loss = torch.zeros((), dtype=torch.float32)
        for start in range(0, len(h), _CHUNK_TARGETS):
            part = slice(start, start + _CHUNK_TARGETS)
            logits = torch.nn.functional.linear(h[part], weight, bias)
            wanted = targets[part, None]
            logits32 = logits.float()
            log_total = torch.logsumexp(logits32, -1, keepdim=True)
            log_p = logits32.gather(-1, wanted) - log_total
            loss -= log_p.sum()
            if not ctx.needs_input_grad[0]:
                continue
            d_logits = torch.softmax(logits, -1)
            # p - 1 in 16 bits would lose a probability close to 1.
            d_logits.scatter_(-1, wanted, log_p.expm1().to(d_logits.dtype))
            torch.mm(d_logits, weight, out=d_h[part])
        ctx.save_for_backward(d_h)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (d_h,) = ctx.saved_tensors
        return d_h * gradients[0].to(d_h.dtype), None, None, None


def head_loss(h: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over N targets, in fp32; the output layer is frozen.

    Args:
        h: Hidden states that predict a target, (N, K).
        weight: Of the output layer, (V, K).
        bias: Of the output layer, (V,) or None.
        targets: Token ids, (N,).
    """
    loss: Tensor = _HeadLoss.apply(h, weight, bias, targets)
    return loss
