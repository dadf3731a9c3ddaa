"""The hot path: rows through the model, loss on the answers, gradients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from gemtune.fine_tuning.batches import collate, draw_seed, micro_batches
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.rows import Row


def summed_loss(model: nn.Module, head: nn.Module, token_ids: Tensor, is_target: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over the targets, in fp32.

    Args:
        model: Causal language model; called with `token_ids` only.
        head: Its output layer, which sees only the positions that have a target.
        token_ids: Shape (B, T), int64.
        is_target: Shape (B, T); true at t where token t + 1 is a target.
    """
    with _only_at(head, is_target):
        logits_NV = model(input_ids=token_ids, use_cache=False).logits
    targets_N = token_ids[:, 1:][is_target[:, :-1]]
    return functional.cross_entropy(logits_NV.float(), targets_N, reduction="sum")


def accumulate_gradients(
    model: PreTrainedModel,
    masters: MasterWeights,
    rows: Sequence[Row],
    *,
    max_tokens: int,
    seed: int,
    step: int,
) -> float:
    """Add the gradient of the mean loss over all targets of `rows` to `masters`.

    The result does not depend on how the rows are cut into micro-batches, because every part is
    divided by the number of targets of the whole step.

    Returns:
        The mean loss per target in nats.
    """
    head = _output_layer(model)
    n_targets = sum(row.n_targets for row in rows)
    loss_sum = 0.0
    for i, group in enumerate(micro_batches(rows, max_tokens)):
        # Dropout is a function of (seed, step, micro-batch), whatever ran before.
        torch.manual_seed(draw_seed(seed, "dropout", step, i))
        batch = collate(group)
        loss = summed_loss(
            model, head, batch.token_ids.to(model.device), batch.is_target.to(model.device)
        )
        (loss / n_targets).backward()
        masters.take_gradients()
        loss_sum += loss.item()
    return loss_sum / n_targets


@torch.inference_mode()
def mean_loss(model: PreTrainedModel, rows: Sequence[Row], *, max_tokens: int) -> float:
    """Mean loss per target in nats over all rows, without dropout."""
    head = _output_layer(model)
    was_training = model.training
    model.eval()
    loss_sum = 0.0
    for group in micro_batches(rows, max_tokens):
        batch = collate(group)
        loss_sum += summed_loss(
            model, head, batch.token_ids.to(model.device), batch.is_target.to(model.device)
        ).item()
    model.train(was_training)
    return loss_sum / sum(row.n_targets for row in rows)


def _output_layer(model: PreTrainedModel) -> nn.Module:
    head = model.get_output_embeddings()
    assert head is not None  # every causal language model has one
    return head


@contextmanager
def _only_at(head: nn.Module, is_target: Tensor) -> Iterator[None]:
    """Let the output layer see only the chosen positions: logits (N, V) instead of (B, T, V).

    A hook keeps whatever a model family does to its logits afterwards (scaling, soft caps).
    """
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][is_target], *args[1:]))
    try:
        yield
    finally:
        handle.remove()
