"""Which layers get an adapter, for each family and each way of naming them."""

import pytest
from transformers import AutoModelForCausalLM, Gemma3Config, PreTrainedModel

from gemtune.errors import ConfigError
from gemtune.fine_tuning.targets import describe_targets, find_target_modules

LLAMA_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LLAMA_LAYERS = [*LLAMA_ATTENTION, "gate_proj", "up_proj", "down_proj"]
LAYERS = {
    "gpt2": ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"],
    "llama": LLAMA_LAYERS,
    "gemma3_text": LLAMA_LAYERS,
    "qwen3": LLAMA_LAYERS,
}
ATTENTION = {
    "gpt2": ["attn.c_attn", "attn.c_proj"],
    "llama": LLAMA_ATTENTION,
    "gemma3_text": LLAMA_ATTENTION,
    "qwen3": LLAMA_ATTENTION,
}


def assert_selects(names: list[str], endings: list[str]) -> None:
    """In each of the two blocks, the layers with these endings and no others."""
    assert len(names) == 2 * len(endings)
    for block in (names[: len(endings)], names[len(endings) :]):
        assert all(any(name.endswith(f".{ending}") for name in block) for ending in endings)


@pytest.mark.parametrize("wanted", ["auto", "all-linear"])
def test_every_linear_layer_but_the_head_is_selected(base: PreTrainedModel, wanted: str) -> None:
    assert_selects(find_target_modules(base, wanted), LAYERS[base.config.model_type])


def test_attention_selects_the_layers_of_attention_alone(base: PreTrainedModel) -> None:
    assert_selects(find_target_modules(base, "attention"), ATTENTION[base.config.model_type])


def test_a_list_selects_the_layers_whose_names_end_so(base: PreTrainedModel) -> None:
    last = LAYERS[base.config.model_type][-1]
    first = LAYERS[base.config.model_type][0]
    assert_selects(find_target_modules(base, [last, first]), [first, last])


def test_a_full_name_selects_one_layer(llama: PreTrainedModel) -> None:
    name = "model.layers.1.mlp.up_proj"
    assert find_target_modules(llama, [name]) == [name]


def test_part_of_a_name_selects_nothing(llama: PreTrainedModel) -> None:
    with pytest.raises(ConfigError):
        find_target_modules(llama, ["proj"])


def test_a_regular_expression_must_match_whole_names(llama: PreTrainedModel) -> None:
    names = find_target_modules(llama, r".*\.1\..*(q|v)_proj")
    assert names == ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"]
    with pytest.raises(ConfigError, match=r"no layer of this model matches '\(q\|v\)_proj'"):
        find_target_modules(llama, "(q|v)_proj")


def test_a_name_that_matches_nothing_gets_the_nearest_one(llama: PreTrainedModel) -> None:
    with pytest.raises(ConfigError, match=r"target_modules: .* matches 'q_pro'") as caught:
        find_target_modules(llama, ["v_proj", "q_pro"])
    assert caught.value.fix.startswith("did you mean 'q_proj'? its layers are q_proj, k_proj")


def test_a_broken_expression_says_what_is_wrong_with_it(llama: PreTrainedModel) -> None:
    with pytest.raises(ConfigError, match=r"'\(q_proj' is not a regular expression: missing \)"):
        find_target_modules(llama, "(q_proj")


def test_layers_are_described_by_kind_and_number() -> None:
    names = ["h.0.attn.c_attn", "h.0.mlp.c_fc", "h.1.attn.c_attn"]
    assert describe_targets(names) == "2 x c_attn, 1 x c_fc"


def test_no_name_at_all_selects_nothing_and_says_so(llama: PreTrainedModel) -> None:
    with pytest.raises(ConfigError, match=r"no layer of this model matches '\[\]'"):
        find_target_modules(llama, [])


def test_layers_that_no_text_goes_through_get_no_adapter() -> None:
    text = {
        "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 4, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    model = AutoModelForCausalLM.from_config(config)
    assert_selects(find_target_modules(model, "all-linear"), LLAMA_LAYERS)
    assert_selects(find_target_modules(model, ["q_proj"]), ["q_proj"])
