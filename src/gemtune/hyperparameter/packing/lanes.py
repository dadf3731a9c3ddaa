"""Where the tokens of each adapter lie in a pass that several of them share."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gemtune.fine_tuning.batches import Batch
from gemtune.hyperparameter.packing.dropout_stream import DropoutStream


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """The part of a batch that belongs to one adapter, in the shape that it has alone."""

    first_line: int
    n_lines: int
    first_token: int
    """Where it begins in its lines."""
    n_tokens: int
    """Of a line; behind them there may be padding that others need."""
    ranks: slice
    """The adapter's among those of all adapters."""
    scaling: float
    dropout: DropoutStream

    @property
    def place(self) -> tuple[slice, slice]:
        """Lines and tokens of the batch."""
        lines = slice(self.first_line, self.first_line + self.n_lines)
        return lines, slice(self.first_token, self.first_token + self.n_tokens)


@dataclass(slots=True, eq=False)
class Lanes:
    """What all packed layers of a model know of the pass that is under way."""

    device: torch.device
    dtype: torch.dtype
    """Of the gains: at least fp32, because one that is rounded would change every step."""
    lanes: Sequence[Lane] = ()
    gains: Tensor = field(default_factory=lambda: torch.empty(0))
    """(lines * tokens, ranks): the scaling of the adapter that a token belongs to, at its ranks; 0
    elsewhere. Dropout's 1 / (1 - p) is a part of it."""

    def begin(self, lanes: Sequence[Lane], batch: Batch, n_ranks: int) -> None:
        """Lay out the next pass."""
        self.lanes = lanes
        gains = torch.zeros(*batch.token_ids.shape, n_ranks, dtype=self.dtype)
        for lane in lanes:
            gains[(*lane.place, lane.ranks)] = lane.scaling / (1 - lane.dropout.p)
        self.gains = gains.view(-1, n_ranks).to(self.device)

    def draw_kept(self, x: Tensor) -> Tensor | None:
        """What dropout leaves of activations (lines, tokens, K), as (lines * tokens, K)."""
        if not any(lane.dropout.p for lane in self.lanes):
            return None
        kept = torch.ones(x.shape, dtype=torch.bool, device=x.device)
        for lane in self.lanes:
            if lane.dropout.p:
                kept[lane.place] = lane.dropout.draw(lane.n_lines, lane.n_tokens, x.shape[-1])
        return kept.view(-1, x.shape[-1])
