"""Greedy decoding of a whole test set: fast, deterministic, nothing of the prompt in the answer."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedModel

from gemtune.errors import UsageError
from gemtune.models.context import context_tokens
from gemtune.models.decode_padded import decode_padded
from gemtune.models.decode_plan import Block, DecodedRow, plan_blocks
from gemtune.models.decode_slots import can_decode_in_slots, decode_in_slots
from gemtune.models.known_tokens import require_known_tokens

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
    done: Collection[int] = frozenset(),
) -> list[Answer]:
    """Continue every prompt with the most likely tokens, block by block.

    Args:
        model: Decoder-only model; its training mode and its attention are the same afterwards.
        prompts: Token ids, at least one a prompt; equal prompts are decoded once.
        stop_token_ids: Any of these ends an answer.
        pad_token_id: Fills short prompts on the left where a model needs that.
        max_new_tokens: Longest answer in tokens.
        batch_tokens: Tokens, prompts and longest answers, that are decoded at once.
        on_progress: Called after each block with (index of the prompt, answer) of its rows, in the
            order of the prompts.
        done: Indexes of prompts that have their answers: a block of nothing else is left out, and
            the others come out as they would have without this.

    Returns:
        The answers of all blocks that were not left out, in the order of the prompts.

    Raises:
        UsageError: `max_new_tokens` fills the whole context of the model.
        ArtefactError: the model has no key-value cache, or does not know a token of a prompt.
    """
    require_known_tokens(model, max(map(max, prompts), default=0))
    stops = frozenset(stop_token_ids)
    in_slots = can_decode_in_slots(model)

    def decode(block: Block) -> list[DecodedRow]:
        if in_slots:
            return decode_in_slots(model, block, stops, max_new_tokens)
        return decode_padded(model, block, stops, pad_token_id, max_new_tokens)

    was_training = model.training
    model.eval()
    try:
        return answer_in_blocks(
            decode,
            prompts,
            context=context_tokens(model),
            max_new_tokens=max_new_tokens,
            batch_tokens=batch_tokens,
            on_progress=on_progress,
            done=done,
        )
    finally:
        model.train(was_training)


def answer_in_blocks(
    decode: Callable[[Block], list[DecodedRow]],
    prompts: Sequence[Sequence[int]],
    *,
    context: int | None,
    max_new_tokens: int,
    batch_tokens: int,
    on_progress: Progress | None,
    done: Collection[int],
) -> list[Answer]:
    """Cut the prompts to the context, plan the blocks, and let `decode` answer each.

    Raises:
        UsageError: `max_new_tokens` fills the whole context, in tokens.
    """
    kept = _cut_to_context(prompts, context, max_new_tokens)
    answers: dict[int, Answer] = {}
    for block in plan_blocks(kept, max_new_tokens, batch_tokens):
        if all(i in done for rows in block.rows for i in rows):
            continue
        found = {
            i: Answer(tuple(ids), "stop" if stopped else "length", len(prompts[i]) - len(kept[i]))
            for rows, (ids, stopped) in zip(block.rows, decode(block), strict=True)
            for i in rows
        }
        answers |= found
        if on_progress is not None:
            on_progress(sorted(found.items()))
    return [answers[i] for i in sorted(answers)]


def planned_rows(
    prompts: Sequence[Sequence[int]], *, context: int | None, max_new_tokens: int, batch_tokens: int
) -> list[list[int]]:
    """Which prompts are answered together: the indexes of each block, in the order of the blocks.

    Raises:
        UsageError: `max_new_tokens` fills the whole context, in tokens.
    """
    kept = _cut_to_context(prompts, context, max_new_tokens)
    blocks = plan_blocks(kept, max_new_tokens, batch_tokens)
    return [[i for rows in block.rows for i in rows] for block in blocks]


def _cut_to_context(
    prompts: Sequence[Sequence[int]], context: int | None, max_new_tokens: int
) -> list[Sequence[int]]:
    room = _room_for_prompt(context, max_new_tokens)
    return [prompt[-room:] if room else prompt for prompt in prompts]


def _room_for_prompt(context: int | None, max_new_tokens: int) -> int | None:
    if context is None:
        return None
    if max_new_tokens >= context:
        raise UsageError(
            f"evaluation.max_new_tokens is {max_new_tokens}, which leaves no room for a prompt: "
            f"the model's context is {context} tokens",
            fix=f"set evaluation.max_new_tokens well below {context}",
        )
    return context - max_new_tokens
