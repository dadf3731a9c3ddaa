"""A model that sees what it is to predict is refused; those that do not are taken."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, BertConfig, BertLMHeadModel

from gemtune.errors import ConfigError
from gemtune.models.causality import require_causal


def bert(*, is_decoder: bool) -> BertLMHeadModel:
    """A tiny one whose attention weighs something, as after training."""
    torch.manual_seed(0)
    size = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertLMHeadModel(
        BertConfig(**size, intermediate_size=64, initializer_range=0.3, is_decoder=is_decoder)
    )


def test_a_model_that_sees_later_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match="BertLMHeadModel sees the tokens that it is to predict"):
        require_causal(bert(is_decoder=False))


def test_the_same_model_as_a_decoder_is_taken_and_keeps_its_mode() -> None:
    model = bert(is_decoder=True).train()
    require_causal(model)
    assert model.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_family_is_taken(tiny_model_dir: Path, dtype: torch.dtype) -> None:
    require_causal(AutoModelForCausalLM.from_pretrained(str(tiny_model_dir), dtype=dtype))
