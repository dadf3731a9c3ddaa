"""How many tokens a model can take at once."""

from transformers import PreTrainedModel


def context_tokens(model: PreTrainedModel) -> int | None:
    """Prompt and answer together, in tokens; None for a model that names no limit."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)
