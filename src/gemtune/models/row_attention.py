"""Causal attention over rows that lie end to end: no other layer computes a padded token.

It registers itself with transformers as an attention implementation, so the model's own code calls
it. Padding costs a tenth of a training step with rows of mixed lengths (docs/benchmarks.md).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface

from gemtune.models.random_masks import draw_mask

ROW_ATTENTION = "gemtune_rows"

LONGEST_PLAIN_TOKENS = 512
"""Up to here plain matrix products beat PyTorch's fused attention on a CPU (docs/benchmarks.md);
above it their memory, quadratic in the length, weighs more."""
# Models with full causal attention that take positions from `position_ids`, carry nothing else from
# token to token, and compute their logits by the output layer alone.
_MODEL_TYPES = frozenset({"gemma3_text", "gpt2", "llama", "mistral", "qwen2", "qwen3", "smollm3"})


@dataclass(frozen=True, slots=True, eq=False)
class RowLayout:
    """Where the tokens of B rows, T in all, lie in a padded grid of B rows of L tokens."""

    lengths: list[int]
    token_at: Tensor
    """(B, L): the token at each place; an arbitrary one where there is padding."""
    place_of: Tensor
    """(T,): row * L + column of each token."""
    is_real: Tensor
    """(B, 1, L, 1) in the model's type: 1 for a token, 0 for padding."""
    unseen: Tensor
    """(L, L) in the model's type: 0 where a query sees a key, -inf where the key is later."""


def can_attend_by_row(model: PreTrainedModel, longest_tokens: int) -> bool:
    """Whether this attention computes what the model's own computes, up to rounding.

    A sliding window that no row exceeds hides nothing.
    """
    config = model.config
    window = getattr(config, "sliding_window", None)
    return (
        config.model_type in _MODEL_TYPES
        and (window is None or longest_tokens <= window)
        and not getattr(config, "final_logit_softcapping", None)
        and not getattr(config, "attn_logit_softcapping", None)
        and not getattr(config, "scale_attn_by_inverse_layer_idx", False)
        # Models that were made from these to embed texts see later tokens too.
        and getattr(config, "is_causal", True)
        and not getattr(config, "use_bidirectional_attention", False)
    )


def attends_by_row(model: PreTrainedModel) -> bool:
    """Whether the model has been set to this attention: it then takes rows end to end only."""
    return model.config._attn_implementation == ROW_ATTENTION


def lay_out_rows(lengths: list[int], dtype: torch.dtype) -> RowLayout:
    """Plan the grid for rows of these lengths, in tokens."""
    longest = max(lengths)
    sizes = torch.tensor(lengths)
    starts = sizes.cumsum(0) - sizes
    column = torch.arange(longest)
    is_real = column < sizes[:, None]
    return RowLayout(
        lengths=lengths,
        token_at=(starts[:, None] + column).clamp_max(sum(lengths) - 1),
        place_of=is_real.flatten().nonzero().squeeze(1),
        is_real=is_real[:, None, :, None].to(dtype),
        unseen=torch.full((longest, longest), -torch.inf, dtype=dtype).triu_(1),
    )


class _GridAttention(torch.autograd.Function):
    """softmax(scaling q k^T) v within each row; q (T, H, D), k and v (T, G, D) with H = n G.

    Written out because autograd would repeat the keys, copy every operand for the batched products
    and keep the scores three times.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        layout: RowLayout,
        scaling: float,
        dropout: float,
    ) -> Tensor:
        n_heads = q.shape[1]
        q_grid, k_grid, v_grid = (_to_grid(x, layout, n_heads) for x in (q, k, v))
        scores = torch.bmm(q_grid, k_grid.transpose(1, 2)).mul_(scaling).add_(layout.unseen)
        weights = torch.softmax(scores, -1)
        kept = draw_mask(weights.shape, dropout) if dropout else None
        out = torch.bmm(_drop(weights, kept, dropout), v_grid)
        ctx.save_for_backward(q_grid, k_grid, v_grid, weights, kept)
        ctx.layout, ctx.scaling, ctx.dropout, ctx.n_groups = layout, scaling, dropout, k.shape[1]
        return _from_grid(out, layout, n_heads)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q_grid, k_grid, v_grid, weights, kept = ctx.saved_tensors
        layout, n_heads = ctx.layout, gradients[0].shape[1]
        d_out = _to_grid(gradients[0], layout, n_heads)
        # Padding repeats some token, whose gradient must not count twice.
        d_out.view(len(layout.lengths), n_heads, *d_out.shape[1:]).mul_(layout.is_real)
        d_v = torch.bmm(_drop(weights, kept, ctx.dropout).transpose(1, 2), d_out)
        d_weights = _drop(torch.bmm(d_out, v_grid.transpose(1, 2)), kept, ctx.dropout)
        d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
        d_scores.mul_(ctx.scaling)
        d_q = torch.bmm(d_scores, k_grid)
        d_k = torch.bmm(d_scores.transpose(1, 2), q_grid)
        d_q, d_k, d_v = (_from_grid(x, layout, n_heads) for x in (d_q, d_k, d_v))
        return d_q, _add_up(d_k, ctx.n_groups), _add_up(d_v, ctx.n_groups), None, None, None


def _drop(weights: Tensor, kept: Tensor | None, dropout: float) -> Tensor:
    return weights if kept is None else torch.where(kept, weights, 0).mul_(1 / (1 - dropout))


def _to_grid(x: Tensor, layout: RowLayout, n_heads: int) -> Tensor:
    """Copy (T, G, D) to (B * H, L, D): keys and values once for each head that shares them."""
    _, n_groups, width = x.shape
    group_of = torch.arange(n_groups).repeat_interleave(n_heads // n_groups)
    index = layout.token_at[:, None, :] * n_groups + group_of[:, None]
    grid = x.reshape(-1, width).index_select(0, index.flatten())
    return grid.view(-1, layout.token_at.shape[1], width)


def _from_grid(grid: Tensor, layout: RowLayout, n_heads: int) -> Tensor:
    """Copy (B * H, L, D) to (T, H, D), leaving out the padding."""
    _, longest, width = grid.shape
    row, column = layout.place_of // longest, layout.place_of % longest
    index = (row[:, None] * n_heads + torch.arange(n_heads)) * longest + column[:, None]
    return grid.view(-1, width).index_select(0, index.flatten()).view(-1, n_heads, width)


def _add_up(x: Tensor, n_groups: int) -> Tensor:
    """Sum (T, H, D) over the heads that share a group, to (T, G, D)."""
    if x.shape[1] == n_groups:
        return x
    return x.unflatten(1, (n_groups, -1)).sum(2)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    row_layout: RowLayout,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers calls: query (1, H, T, D), key and value (1, G, T, D) to (1, T, H, D)."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if len(row_layout.unseen) > LONGEST_PLAIN_TOKENS:
        return _attend_one_by_one(query, key, value, row_layout.lengths, scaling, dropout), None
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    out: Tensor = _GridAttention.apply(q, k, v, row_layout, scaling, dropout)
    return out.unsqueeze(0), None


def _attend_one_by_one(
    query: Tensor, key: Tensor, value: Tensor, lengths: list[int], scaling: float, dropout: float
) -> Tensor:
    n_shared = query.shape[1] // key.shape[1]
    parts = zip(
        query.split(lengths, 2),
        key.repeat_interleave(n_shared, 1).split(lengths, 2),
        value.repeat_interleave(n_shared, 1).split(lengths, 2),
        strict=True,
    )
    rows = [
        functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling
        )
        for q, k, v in parts
    ]
    return torch.cat(rows, 2).transpose(1, 2)


AttentionInterface.register(ROW_ATTENTION, _attend)
# The layout says which tokens belong together; no mask of (T, T) is wanted.
AttentionMaskInterface.register(ROW_ATTENTION, lambda *_, **__: None)
