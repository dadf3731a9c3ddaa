"""`setup_peft_model`: the adapter is right, and the caller's model is as it was."""

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, MambaConfig, PreTrainedModel

from gemtune.config.schema import FineTuningConfig, LoraConfig, TrainingConfig
from gemtune.errors import ConfigError
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.setup import count_parameters, setup_peft_model

TOKENS = torch.arange(5, 25)[None]
VARIANTS = [
    LoraConfig(r=4),
    LoraConfig(r=4, init="gaussian"),
    LoraConfig(r=4, init="orthogonal"),
    LoraConfig(r=4, init="pissa"),
    LoraConfig(r=4, use_rslora=True),
    LoraConfig(r=4, use_dora=True),
    LoraConfig(r=4, bias="all"),
    LoraConfig(r=4, bias="lora_only"),
]


def settings(lora: LoraConfig, seed: int = 0) -> FineTuningConfig:
    return FineTuningConfig(lora=lora, training=TrainingConfig(seed=seed))


def logits(model: nn.Module) -> Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def adapter(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if "lora_" in name}


def describe(lora: LoraConfig) -> str:
    return ",".join(
        f"{key}={value}" for key, value in lora.model_dump(exclude_defaults=True).items()
    )


@pytest.mark.parametrize("lora", VARIANTS, ids=describe)
def test_the_callers_model_is_the_same_in_every_respect(
    base: PreTrainedModel, lora: LoraConfig
) -> None:
    first = next(base.parameters())
    first.requires_grad_(False)
    modules = list(base.named_modules())
    flags = [p.requires_grad for p in base.parameters()]
    weights = {name: w.clone() for name, w in base.state_dict().items()}
    before = logits(base)
    setup_peft_model(base, settings(lora))
    assert [(n, id(m)) for n, m in base.named_modules()] == [(n, id(m)) for n, m in modules]
    assert [p.requires_grad for p in base.parameters()] == flags
    assert all(torch.equal(w, weights[name]) for name, w in base.state_dict().items())
    assert torch.equal(logits(base), before)


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_training_the_biases_does_not_reach_the_callers_model(
    tiny_gpt2_dir: Path, bias: str
) -> None:
    base = AutoModelForCausalLM.from_pretrained(str(tiny_gpt2_dir), dtype=torch.float32)
    weights = {name: w.clone() for name, w in base.state_dict().items()}
    lora = LoraConfig.model_validate({"r": 4, "bias": bias})
    masters = MasterWeights(setup_peft_model(base, settings(lora)), torch.float32)
    assert any(name.endswith("bias") for name in masters.weights)
    for weight in masters.parameters():
        weight.data += 1.0
    masters.publish()
    assert all(torch.equal(w, weights[name]) for name, w in base.state_dict().items())


@pytest.mark.parametrize("lora", VARIANTS, ids=describe)
def test_a_new_adapter_answers_like_its_base(base: PreTrainedModel, lora: LoraConfig) -> None:
    adapted = setup_peft_model(base, settings(lora))
    torch.testing.assert_close(logits(adapted), logits(base), rtol=1e-4, atol=1e-4)


def test_the_base_weights_are_shared_and_frozen(base: PreTrainedModel) -> None:
    adapted = setup_peft_model(base, settings(LoraConfig(r=4)))
    memory = {p.data_ptr() for p in base.parameters()}
    frozen = [p for p in adapted.parameters() if not p.requires_grad]
    assert {p.data_ptr() for p in frozen} == memory
    assert all("lora_" in name for name, p in adapted.named_parameters() if p.requires_grad)


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(
    llama: PreTrainedModel,
) -> None:
    lora = LoraConfig(r=4)
    first, again, other = (
        adapter(setup_peft_model(llama, settings(lora, seed))) for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_callers_random_state_is_not_touched(llama: PreTrainedModel) -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    setup_peft_model(llama, settings(LoraConfig(r=4)))
    assert torch.equal(torch.get_rng_state(), before)


def test_rank_stabilised_scaling_divides_by_the_root_of_the_rank(llama: PreTrainedModel) -> None:
    adapted = setup_peft_model(llama, settings(LoraConfig(r=4, alpha=8, use_rslora=True)))
    layer = adapted.get_submodule("base_model.model.model.layers.0.self_attn.q_proj")
    assert layer.scaling == {"default": 4.0}


def test_dora_trains_a_magnitude_for_every_layer(llama: PreTrainedModel) -> None:
    adapted = setup_peft_model(llama, settings(LoraConfig(r=4, use_dora=True)))
    assert sum("magnitude" in n for n, p in adapted.named_parameters() if p.requires_grad) == 14


def test_the_share_of_trained_parameters_is_told_of_the_base_alone(
    llama: PreTrainedModel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gemtune")
    n_base = sum(p.numel() for p in llama.parameters())
    adapted = setup_peft_model(llama, settings(LoraConfig(r=4, target_modules="attention")))
    n_trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert caplog.messages == [
        "adapter on 8 layers: 2 x q_proj, 2 x k_proj, 2 x v_proj, 2 x o_proj",
        f"training {n_trained:,} of {n_base:,} parameters ({100 * n_trained / n_base:.2f} %)",
    ]


class Params4bit(nn.Parameter):
    """What bitsandbytes calls its parameters, two numbers in each byte."""


def test_a_packed_weight_counts_as_the_numbers_it_stands_for() -> None:
    model = nn.Linear(3, 5, bias=True)
    packed = Params4bit(torch.zeros(8, 1, dtype=torch.uint8), requires_grad=False)
    del model.weight
    model.register_parameter("weight", packed)
    assert count_parameters(model) == 16 + 5


@pytest.mark.parametrize(
    ("lora", "message", "fix"),
    [
        (LoraConfig(r=3, init="orthogonal"), "an even rank, not fine_tuning.lora.r=3", "r=4"),
        (LoraConfig(r=64, init="pissa"), "at most 16 components", "r=16 or less"),
    ],
)
def test_an_impossible_start_names_the_key(
    llama: PreTrainedModel, lora: LoraConfig, message: str, fix: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        setup_peft_model(llama, settings(lora))
    assert caught.value.fix.endswith(fix)


def test_a_layer_that_peft_cannot_adapt_is_an_error_in_the_config() -> None:
    config = MambaConfig(vocab_size=64, hidden_size=16, state_size=4, num_hidden_layers=1)
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(ConfigError, match=r"PEFT cannot adapt this model: .*'out_proj'"):
        setup_peft_model(model, FineTuningConfig())
