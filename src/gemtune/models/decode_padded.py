"""Batches padded on the left, with the model's own attention and cache: for every other model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel

from gemtune.errors import ArtefactError
from gemtune.models.decode_plan import Block, DecodedRow

# Dropping rows copies the whole cache, so it has to free a fair share of the batch.
_DROP_WHEN_FINISHED_SHARE = 1 / 8


@torch.inference_mode()
def decode_padded(
    model: PreTrainedModel,
    block: Block,
    stop_token_ids: Collection[int],
    pad_token_id: int,
    max_new_tokens: int,
) -> list[DecodedRow]:
    """Continue the prompts of a block with the most likely tokens.

    Raises:
        ArtefactError: the model has no key-value cache.
    """
    decoded: dict[int, DecodedRow] = {}
    order = sorted(range(len(block.prompts)), key=lambda i: -len(block.prompts[i]))
    for first in range(0, len(order), block.n_slots):
        batch = order[first : first + block.n_slots]
        prompts = [block.prompts[i] for i in batch]
        found = _decode_batch(model, prompts, stop_token_ids, pad_token_id, max_new_tokens)
        decoded.update(zip(batch, found, strict=True))
    return [decoded[i] for i in range(len(block.prompts))]


@dataclass(slots=True)
class _Batch:
    """What the model reads next; rows leave it as their answers end."""

    prompts: list[int]
    """Which prompt each row belongs to."""
    token_ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    cache: DynamicCache


def _decode_batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    stop_token_ids: Collection[int],
    pad_token_id: int,
    max_new_tokens: int,
) -> list[DecodedRow]:
    token_ids, mask = _pad_left(prompts, pad_token_id, model.device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    batch = _Batch(list(range(len(prompts))), token_ids, mask, positions, cache)
    written: list[list[int]] = [[] for _ in prompts]
    running = set(batch.prompts)
    for _ in range(max_new_tokens):
        chosen = _most_likely(model, batch)
        for prompt, token_id in zip(batch.prompts, chosen.tolist(), strict=True):
            if token_id in stop_token_ids:
                running.discard(prompt)
            elif prompt in running:
                written[prompt].append(token_id)
        if not running:
            break
        _append(batch, chosen)
        if len(batch.prompts) - len(running) >= len(batch.prompts) * _DROP_WHEN_FINISHED_SHARE:
            _keep(batch, running)
    return [(ids, i not in running) for i, ids in enumerate(written)]


def _most_likely(model: PreTrainedModel, batch: _Batch) -> torch.Tensor:
    output = model(
        input_ids=batch.token_ids,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        past_key_values=batch.cache,
        use_cache=True,
        logits_to_keep=1,
    )
    # Others ignore the cache and would answer each token from the one before it alone.
    if output.get("past_key_values") is not batch.cache:
        raise ArtefactError(
            f"{type(model).__name__} has no key-value cache, so gemtune cannot decode with it",
            fix="choose a model with attention, such as 'smollm2-135m'",
        )
    return output.logits[:, -1].argmax(dim=-1)


def _append(batch: _Batch, chosen: torch.Tensor) -> None:
    batch.token_ids = chosen[:, None]
    batch.mask = torch.cat([batch.mask, batch.mask.new_ones(len(chosen), 1)], dim=1)
    batch.positions = batch.positions[:, -1:] + 1


def _keep(batch: _Batch, running: Collection[int]) -> None:
    rows = [row for row, prompt in enumerate(batch.prompts) if prompt in running]
    index = torch.tensor(rows, device=batch.mask.device)
    batch.prompts = [batch.prompts[row] for row in rows]
    batch.token_ids, batch.mask = batch.token_ids[index], batch.mask[index]
    batch.positions = batch.positions[index]
    batch.cache.batch_select_indices(index)


def _pad_left(
    prompts: Sequence[Sequence[int]], pad_token_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(prompt) for prompt in prompts)
    token_ids = torch.full((len(prompts), width), pad_token_id)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        token_ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return token_ids.to(device), mask.to(device)
