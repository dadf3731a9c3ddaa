"""The hot path: rows through the model, loss on the answers, gradients."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from gemtune.fine_tuning.batches import Batch, collate, draw_seed, micro_batches
from gemtune.fine_tuning.head_loss import head_loss
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.rows import Row
from gemtune.models.output_layer import only_at, output_layer
from gemtune.models.row_attention import attends_by_row, lay_out_rows


def accumulate_gradients(
    model: PreTrainedModel,
    masters: MasterWeights,
    rows: Sequence[Row],
    *,
    max_tokens: int,
    seed: int,
    step: int,
    on_micro_batch: Callable[[float], None] = lambda _: None,
) -> float:
    """Add the gradient of the mean loss over all targets of `rows` to `masters`.

    The result does not depend on how the rows are cut into micro-batches, because every part is
    divided by the number of targets of the whole step. `on_micro_batch` is told the seconds that
    each part took.

    Returns:
        The mean loss per target in nats.
    """
    packed = attends_by_row(model)
    n_targets = sum(row.n_targets for row in rows)
    loss_sum = 0.0
    for i, group in enumerate(micro_batches(rows, max_tokens, packed=packed)):
        started = time.perf_counter()
        # Dropout is a function of (seed, step, micro-batch), whatever ran before.
        torch.manual_seed(draw_seed(seed, "dropout", step, i))
        loss = summed_loss(model, collate(group, packed=packed))
        (loss / n_targets).backward()
        masters.take_gradients()
        loss_sum += loss.item()
        on_micro_batch(time.perf_counter() - started)
    return loss_sum / n_targets


@torch.inference_mode()
def mean_loss(model: PreTrainedModel, rows: Sequence[Row], *, max_tokens: int) -> float:
    """Mean loss per target in nats over all rows, without dropout."""
    packed = attends_by_row(model)
    was_training = model.training
    model.eval()
    try:
        loss_sum = sum(
            summed_loss(model, collate(group, packed=packed)).item()
            for group in micro_batches(rows, max_tokens, packed=packed)
        )
    finally:
        # Also when memory runs out: training would go on without dropout.
        model.train(was_training)
    return loss_sum / sum(row.n_targets for row in rows)


def summed_loss(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Cross-entropy in nats, summed over the targets of a batch, in fp32 or better.

    The rows must lie as the model's attention takes them: end to end where it attends by row, else
    side by side.
    """
    (loss,) = summed_losses(model, batch, [int(batch.is_target.sum())])
    return loss


def summed_losses(model: PreTrainedModel, batch: Batch, n_targets: Sequence[int]) -> list[Tensor]:
    """`summed_loss` of each part of a batch.

    The output layer sees only the positions that have a target.

    Args:
        model: Takes the whole batch in one pass.
        batch: Its rows, those of a part one after another.
        n_targets: How many targets each part has.
    """
    if attends_by_row(model):
        return _losses_of_packed_rows(model, batch, n_targets)
    token_ids, is_target = batch.token_ids.to(model.device), batch.is_target.to(model.device)
    with only_at(output_layer(model), is_target):
        logits_NV = model(input_ids=token_ids, use_cache=False).logits
    targets_N = token_ids[:, 1:][is_target[:, :-1]]
    parts = zip(logits_NV.split(n_targets), targets_N.split(n_targets), strict=True)
    return [_cross_entropy(logits, targets) for logits, targets in parts]


def _losses_of_packed_rows(
    model: PreTrainedModel, batch: Batch, n_targets: Sequence[int]
) -> list[Tensor]:
    # Called past the model's own last line, which would make the logits of all targets at once.
    hidden_1TK = model.base_model(
        input_ids=batch.token_ids,
        position_ids=torch.cat([torch.arange(n) for n in batch.lengths])[None],
        use_cache=False,
        row_layout=lay_out_rows(batch.lengths, model.dtype),
    ).last_hidden_state
    hidden_NK = hidden_1TK[batch.is_target]
    targets_N = batch.token_ids[:, 1:][batch.is_target[:, :-1]]
    parts = zip(hidden_NK.split(n_targets), targets_N.split(n_targets), strict=True)
    head = output_layer(model)
    return [_loss_of_hidden(head, hidden, targets) for hidden, targets in parts]


def _loss_of_hidden(head: nn.Module, hidden_NK: Tensor, targets_N: Tensor) -> Tensor:
    if type(head) is nn.Linear and not any(p.requires_grad for p in head.parameters()):
        return head_loss(hidden_NK, head.weight, head.bias, targets_N)
    return _cross_entropy(head(hidden_NK), targets_N)


def _cross_entropy(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    # In 16 bits the sum over all words would lose most of its digits.
    at_least_fp32 = logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32))
    return functional.cross_entropy(at_least_fp32, targets_N, reduction="sum")
