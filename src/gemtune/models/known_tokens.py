"""Tokens that a tokenizer knows and its model does not: files of two models, or a damaged one."""

from torch import nn
from transformers import PreTrainedModel

from gemtune.errors import ArtefactError


def require_known_tokens(model: PreTrainedModel, highest_id: int) -> None:
    """Look at the highest token that is used: some tokenizers list more than their model knows.

    Raises:
        ArtefactError: the model has no embedding for it.
    """
    embeddings = model.get_input_embeddings()
    if isinstance(embeddings, nn.Embedding) and highest_id >= embeddings.num_embeddings:
        raise ArtefactError(
            f"the tokenizer makes token {highest_id}, but the model knows only "
            f"{embeddings.num_embeddings}, counted from 0",
            fix="take model and tokenizer from one place: copy both again",
        )
