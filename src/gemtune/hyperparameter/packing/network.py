"""One model that trains the adapters of several trials in the same pass."""

from collections.abc import Sequence

import torch
from peft.tuners.lora.layer import Linear
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from gemtune.fine_tuning.batches import collate
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.setup import share_weights
from gemtune.fine_tuning.step import summed_losses
from gemtune.hyperparameter.packing.dropout_stream import DropoutStream
from gemtune.hyperparameter.packing.lanes import Lane, Lanes
from gemtune.hyperparameter.packing.layer import PackedLinear
from gemtune.hyperparameter.packing.shares import Share
from gemtune.models.fused_norms import fuse_rms_norms
from gemtune.models.row_attention import attends_by_row


class NotFiniteTogetherError(Exception):
    """The gradients of a pass cannot be used, and nobody knows whose fault it is."""


class PackedNetwork:
    """A base with the adapters of several runs, whose own models see every change of them."""

    def __init__(self, base: PreTrainedModel, runs: Sequence[Ingredients]) -> None:
        """Share memory with the base and with the model of each run.

        Args:
            base: Stays as it is.
            runs: Their adapters are on the same layers.
        """
        adapted = [_adapted_layers(run.model) for run in runs]
        gains_dtype = torch.promote_types(base.dtype, torch.float32)
        self._lanes = Lanes(base.device, gains_dtype)
        self._model = share_weights(base)
        self._layers = []
        for name in adapted[0]:
            own = self._model.get_submodule(name)
            assert isinstance(own, nn.Linear | Conv1D)
            layer = PackedLinear(own, [layers[name] for layers in adapted], self._lanes)
            self._model.set_submodule(name, layer)
            self._layers.append(layer)
        if base.device.type == "cpu":
            # As the models of the runs do.
            fuse_rms_norms(self._model)
        self._model.train()
        self._numbers = {run.masters: number for number, run in enumerate(runs)}
        self._typical = [next(iter(layers.values())) for layers in adapted]

    def add_gradients(self, shares: Sequence[Share]) -> list[float]:
        """Add the gradients of a micro-batch of each run to its masters, as it would alone.

        Returns:
            The loss of each micro-batch, summed over its targets, in nats.

        Raises:
            NotFiniteTogetherError: a gradient is not finite; nothing is added.
        """
        by_row = attends_by_row(self._model)
        rows = [row for share in shares for row in share.rows]
        batch = collate(rows, packed=by_row)
        self._lanes.begin(self._lay_out(shares, by_row=by_row), batch, self._n_ranks)
        self._forget_gradients()
        losses = summed_losses(self._model, batch, [_n_targets(share.rows) for share in shares])
        weighted = [loss / share.n_targets for loss, share in zip(losses, shares, strict=True)]
        torch.stack(weighted).sum().backward()
        self._require_finite()
        for layer in self._layers:
            layer.hand_over_gradients([self._numbers[share.run.masters] for share in shares])
        for share in shares:
            share.run.masters.take_gradients()
        return torch.stack(losses).tolist()

    def _require_finite(self) -> None:
        """What is not finite spreads: zero times infinity is not zero."""
        gradients = [
            g for each in self._layers for g in (each.a.grad, each.b.grad) if g is not None
        ]
        if not torch.nn.utils.get_total_norm(gradients).isfinite():
            raise NotFiniteTogetherError

    @property
    def _n_ranks(self) -> int:
        return sum(layer.r["default"] for layer in self._typical)

    def _forget_gradients(self) -> None:
        """A pass before this one may have run out of memory half way."""
        for layer in self._layers:
            layer.a.grad = layer.b.grad = None

    def _lay_out(self, shares: Sequence[Share], *, by_row: bool) -> list[Lane]:
        lanes, line, token = [], 0, 0
        for share in shares:
            alone = collate(share.rows, packed=by_row).token_ids.shape
            lanes.append(self._lane(share, (line, alone[0]), (token, alone[1])))
            line, token = (line, token + alone[1]) if by_row else (line + alone[0], token)
        return lanes

    def _lane(self, share: Share, lines: tuple[int, int], tokens: tuple[int, int]) -> Lane:
        number = self._numbers[share.run.masters]
        layer = self._typical[number]
        first_rank = sum(each.r["default"] for each in self._typical[:number])
        p = getattr(layer.lora_dropout["default"], "p", 0.0)
        return Lane(
            *lines,
            *tokens,
            ranks=slice(first_rank, first_rank + layer.r["default"]),
            scaling=layer.scaling["default"],
            dropout=DropoutStream(p, share.seed, self._model.device, self._model.dtype),
        )


def _adapted_layers(model: nn.Module) -> dict[str, Linear]:
    return {name: layer for name, layer in model.named_modules() if type(layer) is Linear}


def _n_targets(rows: Sequence[Row]) -> int:
    return sum(row.n_targets for row in rows)
