"""What is written loads in plain PEFT, on a fresh base, and answers like the model in memory."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from gemtune.config.schema import Config, FineTuningConfig, LoraConfig
from gemtune.fine_tuning.adapter import AdapterWriter
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.setup import setup_peft_model

VARIANTS = [
    LoraConfig(r=4),
    LoraConfig(r=4, init="orthogonal"),
    LoraConfig(r=4, init="pissa"),
    LoraConfig(r=4, init="pissa", use_rslora=True),
    LoraConfig(r=4, init="pissa", use_dora=True),
    LoraConfig(r=4, use_rslora=True),
    LoraConfig(r=4, use_dora=True),
    LoraConfig(r=4, bias="all"),
    LoraConfig(r=4, bias="lora_only"),
    LoraConfig(r=4, target_modules="attention"),
]


def describe(lora: LoraConfig) -> str:
    return ",".join(
        f"{key}={value}" for key, value in lora.model_dump(exclude_defaults=True).items()
    )


def logits(model: nn.Module) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.arange(5, 25)[None]).logits


def load(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)


def train_a_little(masters: MasterWeights) -> None:
    """Random steps: what a loop does to the weights, without the loop."""
    random = torch.Generator().manual_seed(0)
    for weight in masters.parameters():
        weight.data += 0.05 * torch.randn(weight.shape, generator=random)
    masters.publish()


def write(model_dir: Path, lora: LoraConfig, folder: Path) -> PeftModel:
    model = setup_peft_model(load(model_dir), FineTuningConfig(lora=lora))
    masters = MasterWeights(model, torch.float32)
    config = Config(fine_tuning=FineTuningConfig(model=str(model_dir), lora=lora))
    tokenizer = AutoTokenizer.from_pretrained(str(model_dir))
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    writer = AdapterWriter(model, tokenizer, config, str(model_dir), masters.state(), 9)
    train_a_little(masters)
    writer.write(folder, masters.state())
    return model


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of PEFT itself
@pytest.mark.parametrize("lora", VARIANTS, ids=describe)
def test_plain_peft_answers_like_the_trained_model(
    tiny_model_dir: Path, lora: LoraConfig, tmp_path: Path
) -> None:
    trained = write(tiny_model_dir, lora, tmp_path)
    base = load(tiny_model_dir)
    untrained = logits(base)
    loaded = logits(PeftModel.from_pretrained(base, str(tmp_path)))
    torch.testing.assert_close(loaded, logits(trained), rtol=1e-4, atol=1e-4)
    assert (loaded - untrained).abs().max() > 0.01


def test_the_folder_names_its_base_and_holds_no_pickle(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    write(tiny_llama_dir, LoraConfig(r=4), tmp_path)
    peft_config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert peft_config["base_model_name_or_path"] == str(tiny_llama_dir)
    assert peft_config["inference_mode"] is True
    assert peft_config["target_modules"] == sorted(peft_config["target_modules"])
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".jinja"}


def test_the_weights_are_written_in_fp32(tiny_llama_dir: Path, tmp_path: Path) -> None:
    write(tiny_llama_dir, LoraConfig(r=4), tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert len(weights) == 28


def test_a_pissa_adapter_becomes_a_plain_one_of_twice_the_rank(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    write(tiny_llama_dir, LoraConfig(r=4, alpha=8, init="pissa"), tmp_path)
    peft_config = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))
    assert peft_config["init_lora_weights"] is True
    assert (peft_config["r"], peft_config["lora_alpha"]) == (8, 16)
