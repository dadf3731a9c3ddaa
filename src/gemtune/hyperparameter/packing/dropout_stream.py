"""The dropout of an adapter that is trained beside others: the masks that it has alone."""

import torch
from torch import Tensor

from gemtune.models.random_masks import draw_mask


class DropoutStream:
    """Draws the masks of one micro-batch of one adapter, in the order of the layers.

    Alone, an adapter takes them from torch's own generator, seeded at each micro-batch. Here that
    generator is handed from adapter to adapter, so the masks do not depend on who else draws.
    """

    def __init__(self, p: float, seed: int, device: torch.device, dtype: torch.dtype) -> None:
        """Elements are dropped with probability `p`; the activations are on `device`."""
        self.p = p
        self._seed, self._device, self._dtype = seed, device, dtype
        self._state: Tensor | None = None

    def draw(self, n_lines: int, n_tokens: int, width: int) -> Tensor:
        """What is kept of activations of shape (n_lines, n_tokens, width)."""
        if self._state is None:
            torch.manual_seed(self._seed)
        else:
            _set_state(self._state, self._device)
        shape = torch.Size((n_lines, n_tokens, width))
        kept = draw_mask(shape, self.p) if self._device.type == "cpu" else self._draw_there(shape)
        self._state = _get_state(self._device)
        return kept

    def _draw_there(self, shape: torch.Size) -> Tensor:
        """The mask that `nn.Dropout` uses on an accelerator."""
        activations = torch.empty(shape, device=self._device, dtype=self._dtype)
        _, kept = torch.native_dropout(activations, self.p, True)
        return kept


def _get_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_state(state: Tensor, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
