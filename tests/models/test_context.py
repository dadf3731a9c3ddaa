"""The longest text of a model, wherever its config keeps it."""

from transformers import BloomConfig, BloomForCausalLM, Gemma3Config, Gemma3ForConditionalGeneration

from gemtune.models.context import context_tokens

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "head_dim": 8}


def test_a_model_that_also_sees_images_has_the_context_of_its_text_part() -> None:
    text = {**SIZES, **HEADS, "vocab_size": 32, "max_position_embeddings": 48}
    vision = {**SIZES, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    assert context_tokens(Gemma3ForConditionalGeneration(config)) == 48


def test_a_model_without_positions_names_no_limit() -> None:
    config = BloomConfig(vocab_size=32, hidden_size=16, n_layer=1, n_head=2)
    assert context_tokens(BloomForCausalLM(config)) is None
