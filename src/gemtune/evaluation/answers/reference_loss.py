"""How likely the model finds the right answers: the loss that training lowers, on test rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from gemtune.data.examples import EncodedRow
from gemtune.models.context import context_tokens
from gemtune.models.known_tokens import require_known_tokens
from gemtune.models.output_layer import only_at, output_layer

_MAX_TARGETS = 512
"""Of a batch: the logits of each are as long as the vocabulary."""


@dataclass(frozen=True, slots=True)
class ReferenceLoss:
    """Sum of -ln p over the tokens of an answer and its end token, in nats."""

    nats: float
    n_tokens: int


@dataclass(frozen=True, slots=True)
class _Row:
    index: int
    token_ids: Sequence[int]
    first_target: int
    """Tokens from here on are predicted; never 0, because nothing comes before the first token."""

    @property
    def n_targets(self) -> int:
        return len(self.token_ids) - self.first_target


@torch.inference_mode()
def reference_losses(
    model: PreTrainedModel, rows: Sequence[EncodedRow], *, batch_tokens: int
) -> list[ReferenceLoss]:
    """Measure the loss on the last answer of every row.

    The same rows together give the same bits: batches are a function of their lengths.

    Args:
        model: In eval mode.
        rows: Uncut; what exceeds the model's context is left out at the left.
        batch_tokens: Padded tokens that go through the model at once.

    Raises:
        ArtefactError: the model does not know a token.
    """
    require_known_tokens(model, max((max(row.token_ids) for row in rows), default=0))
    cut = [_cut_to_context(i, row, context_tokens(model)) for i, row in enumerate(rows)]
    found: dict[int, ReferenceLoss] = {}
    for batch in _batches(cut, batch_tokens):
        nats = _losses(model, batch)
        for row, own in zip(batch, nats.split([row.n_targets for row in batch]), strict=True):
            found[row.index] = ReferenceLoss(own.sum().item(), row.n_targets)
    return [found[i] for i in range(len(rows))]


def _cut_to_context(index: int, row: EncodedRow, context: int | None) -> _Row:
    n_cut = max(0, len(row.token_ids) - context) if context else 0
    return _Row(index, row.token_ids[n_cut:], max(1, row.n_prompt_tokens - n_cut))


def _batches(rows: Sequence[_Row], batch_tokens: int) -> Iterator[list[_Row]]:
    """Longest first, so that the first row of a batch decides its width."""
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda row: -len(row.token_ids)):
        n_padded = len(batch[0].token_ids) * (len(batch) + 1) if batch else 0
        n_targets = sum(other.n_targets for other in batch) + row.n_targets
        if batch and (n_padded > batch_tokens or n_targets > _MAX_TARGETS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _losses(model: PreTrainedModel, batch: Sequence[_Row]) -> torch.Tensor:
    """-ln p of every target, row after row, in double precision; shape (N,)."""
    width = max(len(row.token_ids) for row in batch)
    # Padding stands at the right, where no token of a causal model sees it.
    token_ids = torch.zeros((len(batch), width), dtype=torch.long)
    is_target = torch.zeros((len(batch), width), dtype=torch.bool)
    for i, row in enumerate(batch):
        token_ids[i, : len(row.token_ids)] = torch.tensor(row.token_ids)
        is_target[i, row.first_target - 1 : len(row.token_ids) - 1] = True
    targets_N = token_ids[:, 1:][is_target[:, :-1]].to(model.device)
    with only_at(output_layer(model), is_target.to(model.device)):
        logits_NV = model(input_ids=token_ids.to(model.device), use_cache=False).logits
    return functional.cross_entropy(logits_NV.float(), targets_N, reduction="none").double().cpu()
