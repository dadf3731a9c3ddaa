"""Greedy decoding with vLLM, for those who have a GPU and that package.

Written against vLLM 0.33 and tested with a stand-in for it: it has not been run on a GPU.
"""

import importlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from gemtune.errors import MissingExtraError
from gemtune.models.decode_plan import Block, DecodedRow
from gemtune.models.generate import Answer, Progress, answer_in_blocks

VLLM_DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM can set aside for adapters."""
_FREE_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class VllmModel:
    """What vLLM is to load."""

    base_dir: Path
    """Folder with the safetensors weights and the tokenizer."""
    dtype_name: str
    """`fp32` or `bf16`."""
    context: int | None
    """Longest prompt and answer together, in tokens; None for a model that names no limit."""
    adapter_dir: Path | None = None
    lora_rank: int = 8
    """Of the adapter."""


def generate_with_vllm(
    model: VllmModel,
    prompts: Sequence[Sequence[int]],
    *,
    stop_token_ids: Collection[int],
    max_new_tokens: int,
    batch_tokens: int,
    on_progress: Progress | None = None,
    done: Collection[int] = frozenset(),
) -> list[Answer]:
    """Continue every prompt with the most likely tokens, as `generate_answers` does.

    Args:
        model: What to load; the engine lives until the answers are there.
        prompts: Token ids, at least one a prompt; equal prompts are decoded once.
        stop_token_ids: Any of these ends an answer, and nothing else does.
        max_new_tokens: Longest answer in tokens.
        batch_tokens: Sets the size of the blocks; vLLM chooses its batches itself.
        on_progress: Called after each block with (index of the prompt, answer) of its rows.
        done: Indexes of prompts that have their answers; blocks of nothing else are left out.

    Raises:
        MissingExtraError: vLLM is not installed.
        UsageError: `max_new_tokens` fills the whole context of the model.
    """
    vllm = require_vllm()
    stops = sorted(stop_token_ids)
    settings = vllm.SamplingParams(
        temperature=0.0,
        max_tokens=max_new_tokens,
        stop_token_ids=stops,
        # The model's own end is among the stops where it is wanted.
        ignore_eos=True,
        detokenize=False,
    )

    longest = max(map(len, prompts)) + max_new_tokens

    @cache
    def engine() -> Any:
        # Not before there is something to decode: loading takes a minute.
        return _load_engine(vllm, model, min(longest, model.context or longest))

    def decode(block: Block) -> list[DecodedRow]:
        found = engine().generate(
            [{"prompt_token_ids": prompt} for prompt in block.prompts],
            settings,
            lora_request=_adapter(model),
            use_tqdm=False,
        )
        return [_row(list(request.outputs[0].token_ids), stops) for request in found]

    return answer_in_blocks(
        decode,
        prompts,
        context=model.context,
        max_new_tokens=max_new_tokens,
        batch_tokens=batch_tokens,
        on_progress=on_progress,
        done=done,
    )


def _row(token_ids: list[int], stops: Sequence[int]) -> DecodedRow:
    """Cut off the stop token, which vLLM leaves at the end of an answer."""
    is_stopped = bool(token_ids) and token_ids[-1] in stops
    return (token_ids[:-1] if is_stopped else token_ids), is_stopped


def _load_engine(vllm: Any, model: VllmModel, n_tokens: int) -> Any:
    """Load for rows of `n_tokens`: a GPU often has no room for the whole context of a model."""
    rank = next((rank for rank in _LORA_RANKS if rank >= model.lora_rank), _LORA_RANKS[-1])
    lora = {"enable_lora": True, "max_lora_rank": rank} if model.adapter_dir else {}
    return vllm.LLM(
        str(model.base_dir),
        dtype=VLLM_DTYPES[model.dtype_name],
        max_model_len=n_tokens,
        gpu_memory_utilization=_memory_share(),
        enable_prefix_caching=True,
        seed=0,
        trust_remote_code=False,
        **lora,
    )


def _memory_share() -> float:
    """How much of the GPU vLLM may take: the model that measures the losses is there before it."""
    if not torch.cuda.is_available():
        return _FREE_SHARE
    free, total = torch.cuda.mem_get_info()
    return _FREE_SHARE * free / total


def _adapter(model: VllmModel) -> Any:
    if model.adapter_dir is None:
        return None
    request = importlib.import_module("vllm.lora.request")
    return request.LoRARequest("tuned", 1, str(model.adapter_dir))


def require_vllm() -> Any:
    """Import vLLM, which takes seconds.

    Raises:
        MissingExtraError: vLLM is not installed.
    """
    try:
        return importlib.import_module("vllm")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"evaluation.engine is 'vllm', and {error.name!r} is not installed",
            fix="pip install vllm on a machine with a GPU, or set evaluation.engine=transformers",
        ) from error
