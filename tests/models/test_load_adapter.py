"""Adapter folders, gemtune's own and those of plain PEFT: merged right, or refused."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.errors import ArtefactError
from gemtune.models.adapter_files import write_adapter_record
from gemtune.models.load import (
    LoadedModel,
    load_base_model,
    load_model_for_generation,
    load_tokenizer,
)
from gemtune.models.quiet import quiet_transformers

TOKENS = torch.tensor([[69, 70, 265, 203, 80]])


def load(folder: Path) -> LoadedModel:
    return load_model_for_generation(folder, revision=None, precision="fp32")


def load_base(folder: Path) -> PreTrainedModel:
    config = FineTuningConfig(model=str(folder))
    return load_base_model(config, torch.float32, torch.device("cpu")).eval()


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS).logits


def change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}))


def save_adapter(base: Path, folder: Path, *, base_name: str | None = None) -> torch.Tensor:
    """Write a random adapter as plain PEFT does and return the logits of the unmerged model."""
    torch.manual_seed(7)
    model = load_base(base)
    gpt2 = model.config.model_type == "gpt2"
    settings = LoraConfig(
        r=4,
        target_modules=["c_attn"] if gpt2 else ["q_proj", "v_proj"],
        fan_in_fan_out=gpt2,
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    with quiet_transformers():
        adapted = get_peft_model(model, settings).eval()
        adapted.save_pretrained(str(folder))
    if base_name is not None:
        change_json(folder / "adapter_config.json", base_model_name_or_path=base_name)
    return logits(adapted)


def test_a_merged_adapter_has_the_logits_of_the_unmerged_one(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    expected = save_adapter(tiny_model_dir, tmp_path / "adapter")

    loaded = load(tmp_path / "adapter")

    torch.testing.assert_close(logits(loaded.model), expected, rtol=1e-5, atol=1e-5)
    base = logits(load_base(tiny_model_dir))
    assert not torch.allclose(base, expected, atol=0.1)
    assert not isinstance(loaded.model, PeftModel)
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())


def test_an_adapter_of_plain_peft_takes_its_bases_tokenizer(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    save_adapter(tiny_llama_dir, tmp_path / "adapter")

    loaded = load(tmp_path / "adapter")

    assert loaded.tokenizer.chat_template is not None
    assert loaded.data_config is None


def test_an_adapter_with_a_tokenizer_and_a_record_brings_both(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    save_adapter(tiny_llama_dir, folder, base_name="the record names the base")
    config = FineTuningConfig(model=str(tiny_llama_dir))
    tokenizer = load_tokenizer(config)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    write_adapter_record(folder, config, DataConfig(template="plain", separator=" -> "))

    loaded = load(folder)

    assert loaded.tokenizer.chat_template is None
    assert loaded.data_config == DataConfig(template="plain", separator=" -> ")


def test_an_adapter_with_pickled_weights_is_refused(
    tiny_llama_dir: Path, tmp_path: Path, canary: Path, pickle_trap: bytes
) -> None:
    folder = tmp_path / "adapter"
    save_adapter(tiny_llama_dir, folder)
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle_trap)

    with pytest.raises(ArtefactError, match=r"has no adapter_model\.safetensors"):
        load(folder)

    assert not canary.exists()


def test_an_adapter_of_another_architecture_is_refused(
    tiny_gpt2_dir: Path, tiny_llama_dir: Path, tmp_path: Path
) -> None:
    save_adapter(tiny_llama_dir, tmp_path / "adapter", base_name=str(tiny_gpt2_dir))

    with pytest.raises(ArtefactError, match="does not fit its base model"):
        load(tmp_path / "adapter")


def test_an_adapter_without_some_of_its_weights_is_refused(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    save_adapter(tiny_llama_dir, tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = load_file(path)
    del weights[min(weights)]
    save_file(weights, path)

    with pytest.raises(ArtefactError, match="does not fit its base model"):
        load(tmp_path / "adapter")


@pytest.mark.parametrize("base", [None, 3, ""])
def test_an_adapter_that_does_not_name_its_base_is_refused(
    tiny_llama_dir: Path, tmp_path: Path, base: object
) -> None:
    folder = tmp_path / "adapter"
    save_adapter(tiny_llama_dir, folder)
    change_json(folder / "adapter_config.json", base_model_name_or_path=base)

    with pytest.raises(ArtefactError, match="names no base model"):
        load(folder)


def test_an_adapter_whose_base_is_gone_says_which(tiny_llama_dir: Path, tmp_path: Path) -> None:
    save_adapter(tiny_llama_dir, tmp_path / "adapter", base_name="/no/such/base")

    with pytest.raises(ArtefactError, match="/no/such/base: there is no such file or folder"):
        load(tmp_path / "adapter")


@pytest.mark.parametrize("name", ["gemtune.json", "adapter_config.json"])
@pytest.mark.parametrize("content", ["", "{", "{}", "[]", '{"data": {"unknown_key": 1}}'])
def test_a_damaged_adapter_folder_is_refused(
    tiny_llama_dir: Path, tmp_path: Path, name: str, content: str
) -> None:
    save_adapter(tiny_llama_dir, tmp_path / "adapter")
    (tmp_path / "adapter" / name).write_text(content)

    with pytest.raises(ArtefactError):
        load(tmp_path / "adapter")


def test_an_adapter_of_the_prompt_is_refused(tiny_llama_dir: Path, tmp_path: Path) -> None:
    base = load_base(tiny_llama_dir)
    base.name_or_path = str(tiny_llama_dir)
    prompt = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=2)
    with quiet_transformers():
        get_peft_model(base, prompt).save_pretrained(str(tmp_path / "adapter"))

    with pytest.raises(ArtefactError, match="an adapter of the kind 'PROMPT_TUNING' is not read"):
        load(tmp_path / "adapter")
