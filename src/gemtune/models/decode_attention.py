"""Attention while decoding: keys and values stay where they are, and no token is padded.

It registers itself with transformers as an attention implementation, so the model's own code calls
it, with the tokens of all rows end to end. Two kinds of calls take turns: a piece of prompts is
read, or every running row writes a token.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

SLOT_ATTENTION = "gemtune_slots"


@dataclass(slots=True)
class SlotCache:
    """Keys and values of S slots of W tokens, and of the path that the prompts branch off from."""

    n_slots: int
    width: int
    slots: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """By layer: keys (S, G, D, W) and values (S, G, W, D), as the products like them best."""
    path: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """By layer: keys and values (G, P, D)."""

    def of_layer(self, layer: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Find the slots of a layer; `like` (1, G, T, D) says in what shape to make them."""
        if layer not in self.slots:
            _, n_groups, _, head_dim = like.shape
            # Zeros, because what is hidden is still multiplied, and NaN times 0 is NaN.
            self.slots[layer] = (
                like.new_zeros(self.n_slots, n_groups, head_dim, self.width),
                like.new_zeros(self.n_slots, n_groups, self.width, head_dim),
            )
        return self.slots[layer]

    def move(self, source: int, target: int, n_tokens: int) -> None:
        """Copy the first tokens of a slot to another one."""
        for keys, values in self.slots.values():
            keys[target, :, :, :n_tokens] = keys[source, :, :, :n_tokens]
            values[target, :, :n_tokens] = values[source, :, :n_tokens]


class DecodeStep(Protocol):
    """One call of the model."""

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scaling: float, window: int | None
    ) -> Tensor:
        """From q (1, H, T, D), k and v (1, G, T, D) to (1, T, H, D)."""
        ...


@dataclass(slots=True)
class ReadStep:
    """T new tokens after a path of P; each sees those of its own prompt."""

    cache: SlotCache
    places: list[Tensor]
    """Of each prompt, where its tokens lie in P + T."""
    first_slot: int
    """The prompts that end here fill the slots from this one on."""
    n_ended: int
    unseen: Tensor
    """(T, P + T) in the model's type: -inf where a token must not look."""
    distance: Tensor
    """(T, P + T): how many tokens back."""
    by_window: dict[int, Tensor] = field(default_factory=dict)

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scaling: float, window: int | None
    ) -> Tensor:
        """Attend within each prompt, and keep what the rows and the next piece need."""
        keys, values = self.cache.of_layer(layer, k)
        k, v = k[0], v[0]
        if layer in self.cache.path:
            old_k, old_v = self.cache.path[layer]
            k, v = torch.cat([old_k, k], 1), torch.cat([old_v, v], 1)
        for slot, path in enumerate(self.places[: self.n_ended], start=self.first_slot):
            keys[slot, :, :, : len(path)] = k[:, path].transpose(1, 2)
            values[slot, :, : len(path)] = v[:, path]
        self.cache.path[layer] = k[:, self.places[-1]], v[:, self.places[-1]]
        n_groups, n_tokens = len(k), q.shape[2]
        grouped = q.view(n_groups, -1, n_tokens, q.shape[3])
        shared = (n_groups, grouped.shape[1], *k.shape[1:])
        out = functional.scaled_dot_product_attention(
            grouped,
            k[:, None].expand(shared),
            v[:, None].expand(shared),
            attn_mask=_mask_for(self, window),
            scale=scaling,
        )
        return out.reshape(-1, n_tokens, q.shape[3]).transpose(0, 1)[None]


@dataclass(slots=True)
class WriteStep:
    """One new token in each of the first B slots."""

    cache: SlotCache
    rows: Tensor
    """(B,): 0 to B - 1."""
    places: Tensor
    """(B,): where the new tokens go in their slots."""
    unseen: Tensor
    """(B, 1, 1, L) in the model's type: -inf after the place of the new token."""
    distance: Tensor
    """(B, 1, 1, L): how many tokens back."""
    by_window: dict[int, Tensor] = field(default_factory=dict)

    def attend(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, scaling: float, window: int | None
    ) -> Tensor:
        """Attend to the own slot; the heads that share keys are rows of one product."""
        keys, values = self.cache.of_layer(layer, k)
        _, n_groups, n_rows, head_dim = k.shape
        longest = self.unseen.shape[-1]
        keys[self.rows, :, :, self.places] = k[0].transpose(0, 1)
        values[self.rows, :, self.places] = v[0].transpose(0, 1)
        grouped = q[0].transpose(0, 1).reshape(n_rows * n_groups, -1, head_dim)
        scores = torch.bmm(grouped * scaling, keys[:n_rows].flatten(0, 1)[..., :longest])
        by_row = scores.view(n_rows, n_groups, -1, longest).add_(_mask_for(self, window))
        weights = by_row.softmax(-1).view_as(scores)
        out = torch.bmm(weights, values[:n_rows].flatten(0, 1)[:, :longest])
        return out.view(1, n_rows, -1, head_dim)


def _mask_for(step: ReadStep | WriteStep, window: int | None) -> Tensor:
    """All layers with the same window share a mask."""
    if window is None:
        return step.unseen
    if window not in step.by_window:
        step.by_window[window] = step.unseen.masked_fill(step.distance >= window, -torch.inf)
    return step.by_window[window]


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    *,
    decode_step: DecodeStep,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """What transformers calls."""
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer: Any = module.layer_idx
    return decode_step.attend(layer, query, key, value, scaling, sliding_window), None


AttentionInterface.register(SLOT_ATTENTION, _attend)
# The step says which tokens see which.
AttentionMaskInterface.register(SLOT_ATTENTION, lambda *_, **__: None)
