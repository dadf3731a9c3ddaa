"""Greedy decoding in batches: fast, deterministic, and with nothing of the prompt in the answer."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import DynamicCache, PreTrainedModel

from gemtune.errors import ArtefactError, UsageError
from gemtune.models.context import context_tokens

# Dropping rows copies the whole cache, so it has to free a fair share of the batch.
_DROP_WHEN_FINISHED_SHARE = 1 / 8

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote after one prompt, without the stop token."""

    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    prompt_truncated: int
    """Tokens cut from the left of the prompt to make room for the answer."""


Progress = Callable[[Sequence[tuple[int, Answer]]], None]


def generate_answers(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    stop_token_ids: Collection[int],
    pad_token_id: int,
    max_new_tokens: int,
    batch_tokens: int,
    on_progress: Progress | None = None,
) -> list[Answer]:
    """Continue every prompt with the most likely tokens.

    Args:
        model: Decoder-only model; its training mode is the same afterwards as before.
        prompts: Token ids, at least one a prompt.
        stop_token_ids: Any of these ends an answer.
        pad_token_id: Fills short prompts on the left; never attended to.
        max_new_tokens: Longest answer in tokens.
        batch_tokens: Padded tokens, prompt and answer, that are decoded at once.
        on_progress: Called after each batch with (index of the prompt, answer) of its rows.

    Returns:
        One answer a prompt, in the order of the prompts.

    Raises:
        UsageError: `max_new_tokens` fills the whole context of the model.
        ArtefactError: the model has no key-value cache.
    """
    room = _room_for_prompt(model, max_new_tokens)
    kept = [list(prompt[-room:]) if room else list(prompt) for prompt in prompts]
    answers: dict[int, Answer] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in plan_batches([len(prompt) for prompt in kept], max_new_tokens, batch_tokens):
            texts = _decode(
                model, [kept[i] for i in batch], set(stop_token_ids), pad_token_id, max_new_tokens
            )
            done = [
                (i, Answer(tuple(ids), reason, len(prompts[i]) - len(kept[i])))
                for i, (ids, reason) in zip(batch, texts, strict=True)
            ]
            answers.update(done)
            if on_progress is not None:
                on_progress(done)
    finally:
        model.train(was_training)
    return [answers[i] for i in range(len(prompts))]


def plan_batches(
    prompt_lengths: Sequence[int], max_new_tokens: int, batch_tokens: int
) -> list[list[int]]:
    """Cut the prompts, longest first, into batches of at most `batch_tokens` padded tokens.

    A prompt that exceeds the budget by itself gets a batch of its own.
    """
    order = sorted(range(len(prompt_lengths)), key=lambda i: -prompt_lengths[i])
    batches: list[list[int]] = []
    while order:
        # Longest first: the first row decides the width of the batch.
        width = prompt_lengths[order[0]] + max_new_tokens
        n_rows = max(1, batch_tokens // width)
        batches.append(order[:n_rows])
        order = order[n_rows:]
    return batches


def _room_for_prompt(model: PreTrainedModel, max_new_tokens: int) -> int | None:
    context = context_tokens(model)
    if context is None:
        return None
    if max_new_tokens >= context:
        raise UsageError(
            f"evaluation.max_new_tokens is {max_new_tokens}, which leaves no room for a prompt: "
            f"the model's context is {context} tokens",
            fix=f"set evaluation.max_new_tokens well below {context}",
        )
    return context - max_new_tokens


@dataclass(slots=True)
class _Batch:
    """What the model reads next; rows leave it as their answers end."""

    prompts: list[int]
    """Which prompt each row belongs to."""
    token_ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    cache: DynamicCache


@torch.inference_mode()
def _decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    stop_token_ids: Collection[int],
    pad_token_id: int,
    max_new_tokens: int,
) -> list[tuple[list[int], FinishReason]]:
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
    return [(ids, "length" if i in running else "stop") for i, ids in enumerate(written)]


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
