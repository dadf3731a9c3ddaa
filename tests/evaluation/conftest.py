"""Small random models and test sets for evaluation, made in the test's own folder."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from crafted_models import tiny_gguf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["tiny_gguf"]

N_BYTES = 256
END = "<|end|>"
PAD = "<|pad|>"


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[[int], Path]:
    """Write a random two-layer model with a tokenizer of bytes; the seed tells models apart."""

    def make(seed: int) -> Path:
        folder = tmp_path / f"model-{seed}"
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=N_BYTES + 2,
            max_position_embeddings=128,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.3,
            bos_token_id=None,
            eos_token_id=N_BYTES,
            pad_token_id=N_BYTES + 1,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
        byte_tokenizer().save_pretrained(folder)
        return folder

    return make


def byte_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[])
    tokenizer = Tokenizer(bytes_only)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END, PAD])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as JSONL into the test's folder."""

    def write(name: str, rows: list[dict[str, object]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
