"""Continuous batching: a row that ends leaves its slot to the next prompt."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from gemtune.models.decode_attention import (
    SLOT_ATTENTION,
    DecodeStep,
    ReadStep,
    SlotCache,
    WriteStep,
)
from gemtune.models.decode_plan import Block, DecodedRow
from gemtune.models.decode_prompts import Piece, PromptWalk
from gemtune.models.row_attention import can_attend_by_row

# Prompts are read in groups: a few tokens cost a model almost as much as a hundred.
_REFILL_SHARE = 1 / 8
_READ_TOKENS = 256
_ARGMAX_PART = 64


def can_decode_in_slots(model: PreTrainedModel) -> bool:
    """Whether the attention here computes what the model's own computes, up to rounding."""
    # A window hides here what it hides there, so no prompt is too long.
    return can_attend_by_row(model, longest_tokens=0)


@dataclass(slots=True)
class _Row:
    """A prompt that is being answered."""

    prompt: int
    """Its place in the block."""
    n_cached: int
    """Tokens in its slot; the last one that was written is not among them."""
    written: list[int] = field(default_factory=list)
    is_stopped: bool = False


@torch.inference_mode()
def decode_in_slots(
    model: PreTrainedModel, block: Block, stop_token_ids: Collection[int], max_new_tokens: int
) -> list[DecodedRow]:
    """Continue the prompts of a block with the most likely tokens."""
    cache = SlotCache(block.n_slots, block.width)
    walk = PromptWalk(block.prompts)
    # Row by slot: those that run are always in the first slots.
    running: list[_Row] = []
    decoded: dict[int, DecodedRow] = {}
    with _slot_attention(model):
        while len(decoded) < len(block.prompts):
            n_free = block.n_slots - len(running)
            has_unread = walk.n_ended < len(block.prompts)
            if has_unread and (n_free >= block.n_slots * _REFILL_SHARE or not running):
                begun = walk.n_ended
                piece = walk.next_piece(n_free, _READ_TOKENS)
                chosen = _read(model, piece, cache, first_slot=len(running))
                new = [_Row(i, len(block.prompts[i])) for i in range(begun, walk.n_ended)]
                running.extend(new)
            else:
                chosen, new = _write(model, running, cache), running
            _accept(new, chosen, stop_token_ids)
            ended = [
                slot
                for slot, row in enumerate(running)
                if row.is_stopped or len(row.written) == max_new_tokens
            ]
            decoded |= {
                running[i].prompt: (running[i].written, running[i].is_stopped) for i in ended
            }
            _leave(running, ended, cache)
    return [decoded[i] for i in range(len(block.prompts))]


def _accept(rows: Sequence[_Row], chosen: Sequence[int], stop_token_ids: Collection[int]) -> None:
    for row, token_id in zip(rows, chosen, strict=True):
        if token_id in stop_token_ids:
            row.is_stopped = True
        else:
            row.written.append(token_id)


def _leave(running: list[_Row], ended: Sequence[int], cache: SlotCache) -> None:
    """Let the last of the rows that go on take the slots that became free."""
    n_left = len(running) - len(ended)
    sources = [slot for slot in range(n_left, len(running)) if slot not in ended]
    targets = [slot for slot in ended if slot < n_left]
    for source, target in zip(sources, targets, strict=True):
        cache.move(source, target, running[source].n_cached)
        running[target] = running[source]
    del running[n_left:]


def _read(model: PreTrainedModel, piece: Piece, cache: SlotCache, first_slot: int) -> list[int]:
    """Choose the first token of every prompt that the piece ends."""
    device, n_path, n_tokens = model.device, piece.n_path, len(piece.token_ids)
    ends = [*piece.starts[1:], n_tokens]
    unseen = torch.full((n_tokens, n_path + n_tokens), -torch.inf, dtype=model.dtype)
    for start, end, places in zip(piece.starts, ends, piece.places, strict=True):
        n_before = len(places) - (end - start)
        own = unseen.new_full((end - start, len(places)), -torch.inf).triu_(n_before + 1)
        unseen[start:end, places] = own
    positions = torch.tensor(piece.positions)
    key_positions = torch.cat([torch.arange(n_path), positions])
    step = ReadStep(
        cache,
        places=[torch.tensor(places, device=device) for places in piece.places],
        first_slot=first_slot,
        n_ended=piece.n_ended,
        unseen=unseen.to(device),
        distance=(positions[:, None] - key_positions).to(device),
    )
    chosen = _most_likely(model, piece.token_ids, positions, [end - 1 for end in ends], step)
    return chosen[: piece.n_ended]


def _write(model: PreTrainedModel, running: Sequence[_Row], cache: SlotCache) -> list[int]:
    """Choose the next token of every row."""
    device, n_rows = model.device, len(running)
    places = torch.tensor([row.n_cached for row in running])
    distance = (places[:, None] - torch.arange(int(places.max()) + 1))[:, None, None]
    unseen = torch.zeros(distance.shape, dtype=model.dtype).masked_fill_(distance < 0, -torch.inf)
    step = WriteStep(
        cache,
        rows=torch.arange(n_rows, device=device),
        places=places.to(device),
        unseen=unseen.to(device),
        distance=distance.to(device),
    )
    for row in running:
        row.n_cached += 1
    last_tokens = [row.written[-1] for row in running]
    return _most_likely(model, last_tokens, places, list(range(n_rows)), step)


def _most_likely(
    model: PreTrainedModel,
    token_ids: list[int],
    positions: torch.Tensor,
    wanted: list[int],
    step: DecodeStep,
) -> list[int]:
    """What follows the tokens at the places `wanted`."""
    output = model(
        input_ids=torch.tensor([token_ids], device=model.device),
        position_ids=positions[None].to(model.device),
        use_cache=False,
        logits_to_keep=torch.tensor(wanted, device=model.device),
        decode_step=step,
    )
    return _argmax(output.logits[0]).tolist()


def _argmax(logits: torch.Tensor) -> torch.Tensor:
    """The place of the first of the largest in each row of (B, V)."""
    if logits.shape[-1] % _ARGMAX_PART:
        return logits.argmax(-1)
    # On a CPU PyTorch finds how large the largest is many times faster than where it is.
    parts = logits.unflatten(-1, (-1, _ARGMAX_PART))
    part = parts.amax(-1).argmax(-1)
    rows = torch.arange(len(logits), device=logits.device)
    return part * _ARGMAX_PART + parts[rows, part].argmax(-1)


@contextmanager
def _slot_attention(model: PreTrainedModel) -> Iterator[None]:
    before = model.config._attn_implementation or "eager"
    model.set_attn_implementation(SLOT_ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
