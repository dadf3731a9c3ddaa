"""Crafted model files: a GGUF file, and files that show when they are opened."""

import json
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase

from gemtune.config.schema import FineTuningConfig
from gemtune.models.load import load_tokenizer


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Copy a model folder that a test is going to change."""
    return lambda folder: Path(shutil.copytree(folder, tmp_path / f"copy-of-{folder.name}"))


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.canary,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that exists as soon as somebody has run what a checkpoint brought along."""
    return tmp_path / "canary"


@pytest.fixture
def pickle_trap(canary: Path) -> bytes:
    """A pickle that makes the canary when it is opened."""
    return pickle.dumps(_Trap(canary))


@pytest.fixture(scope="session")
def tiny_gguf(tiny_llama_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights and the vocabulary of `tiny_llama_dir` in one GGUF file."""
    weights = load_file(tiny_llama_dir / "model.safetensors")
    return _write_gguf(tmp_path_factory.mktemp("gguf"), tiny_llama_dir, weights)


@pytest.fixture
def gguf_without(tiny_llama_dir: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The same file without one of the weights."""

    def write(name: str) -> Path:
        weights = load_file(tiny_llama_dir / "model.safetensors")
        del weights[name]
        return _write_gguf(tmp_path, tiny_llama_dir, weights)

    return write


def _write_gguf(folder: Path, model_dir: Path, weights: Mapping[str, torch.Tensor]) -> Path:
    path = folder / "tiny-llama.gguf"
    config: PretrainedConfig = AutoConfig.from_pretrained(str(model_dir))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, load_tokenizer(FineTuningConfig(model=str(model_dir))))
    _add_weights(writer, weights, config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerBase) -> None:
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = set(tokenizer.all_special_tokens) | {"<|im_start|>", "<|im_end|>"}
    kinds = [
        gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL
        for token, _ in vocabulary
    ]
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(str(tokenizer.chat_template))


def _add_weights(
    writer: gguf.GGUFWriter, weights: Mapping[str, torch.Tensor], config: PretrainedConfig
) -> None:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, weight in weights.items():
        n_heads = heads.get(name.split(".")[-2])
        stored = weight if n_heads is None else _interleaved(weight, n_heads)
        gguf_name = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(str(gguf_name), stored.numpy())


def _interleaved(weight: torch.Tensor, n_heads: int) -> torch.Tensor:
    """The order of rows that llama.cpp keeps queries and keys in."""
    halves = weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, weight.shape[1])
    return halves.swapaxes(1, 2).reshape(weight.shape).contiguous()
