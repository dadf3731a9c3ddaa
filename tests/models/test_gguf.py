"""GGUF files become safetensors folders: once, right, and never half."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.data.examples import Message
from gemtune.errors import ArtefactError
from gemtune.models.generate import generate_answers
from gemtune.models.gguf import converted_folder
from gemtune.models.load import load_model_for_generation, load_tokenizer
from gemtune.models.template import prompt_encoder

TOKENS = torch.tensor([[69, 70, 265, 203, 80]])


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def logits(folder: Path) -> torch.Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(str(folder))(TOKENS).logits


def test_a_converted_model_has_the_logits_and_tokens_of_the_original(
    tiny_gguf: Path, tiny_llama_dir: Path
) -> None:
    folder = converted_folder(tiny_gguf)

    torch.testing.assert_close(logits(folder), logits(tiny_llama_dir), rtol=1e-5, atol=1e-5)
    original = load_tokenizer(FineTuningConfig(model=str(tiny_llama_dir)))
    converted = load_tokenizer(FineTuningConfig(model=str(folder)))
    text = "<|im_start|>user\nab the\n\nin \u4e2d<|im_end|>"
    assert converted(text).input_ids == original(text).input_ids
    assert converted.eos_token == original.eos_token
    assert converted.chat_template == original.chat_template


def test_a_file_is_converted_once(
    tiny_gguf: Path, empty_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gemtune")

    first = converted_folder(tiny_gguf)
    second = converted_folder(tiny_gguf)

    assert first == second
    assert first.parent == empty_cache
    assert caplog.text.count("converting tiny-llama.gguf once") == 1


def test_another_file_of_the_same_name_is_converted_anew(
    tiny_gguf: Path, empty_cache: Path, tmp_path: Path
) -> None:
    changed = tmp_path / tiny_gguf.name
    content = bytearray(tiny_gguf.read_bytes())
    content[-4:] = b"\0\0\0\0"
    changed.write_bytes(content)

    assert converted_folder(changed) != converted_folder(tiny_gguf)


def test_a_converted_model_can_be_loaded_for_generation(tiny_gguf: Path) -> None:
    loaded = load_model_for_generation(tiny_gguf, revision=None, precision="fp32")

    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training


def test_a_file_that_is_not_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"<html>not found</html>")

    with pytest.raises(ArtefactError, match=r"model\.gguf is not a GGUF file"):
        converted_folder(path)


@pytest.mark.parametrize("n_bytes", [4, 30, 3000, -1000])
def test_a_cut_file_is_refused_and_leaves_nothing(
    tiny_gguf: Path, empty_cache: Path, tmp_path: Path, n_bytes: int
) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:n_bytes])

    with pytest.raises(ArtefactError, match=r"cut\.gguf cannot be read"):
        converted_folder(path)

    assert [entry.name for entry in empty_cache.iterdir() if entry.is_dir()] == []


def test_a_file_without_some_of_its_weights_is_refused_and_leaves_nothing(
    gguf_without: Callable[[str], Path], empty_cache: Path
) -> None:
    path = gguf_without("model.layers.1.mlp.up_proj.weight")

    with pytest.raises(ArtefactError, match=r"1 weights are missing .*layers\.1\.mlp\.up_proj"):
        converted_folder(path)

    assert [entry.name for entry in empty_cache.iterdir() if entry.is_dir()] == []


def test_a_file_without_an_output_layer_shares_that_of_the_input(
    gguf_without: Callable[[str], Path], empty_cache: Path
) -> None:
    folder = converted_folder(gguf_without("lm_head.weight"))

    assert folder.parent == empty_cache
    assert AutoConfig.from_pretrained(str(folder)).tie_word_embeddings


@pytest.mark.slow
def test_the_real_model_answers_a_question(smollm2: Path) -> None:
    loaded = load_model_for_generation("smollm2-135m", revision=None, precision="fp32")
    question = [Message("user", "What is the capital of France?")]

    [answer] = generate_answers(
        loaded.model,
        [prompt_encoder(loaded.tokenizer, DataConfig())(question)],
        stop_token_ids=loaded.stop_token_ids,
        pad_token_id=loaded.pad_token_id,
        max_new_tokens=20,
        batch_tokens=100,
    )

    assert smollm2.name.startswith("SmolLM2-135M-Instruct")
    assert "Paris" in str(loaded.tokenizer.decode(list(answer.token_ids)))
    assert answer.finish_reason == "stop"
