"""The last layer of a language model, at chosen positions only."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel


def output_layer(model: PreTrainedModel) -> nn.Module:
    """The layer that makes logits of hidden states."""
    head = model.get_output_embeddings()
    assert head is not None  # every causal language model has one
    return head


@contextmanager
def only_at(head: nn.Module, is_target: Tensor) -> Iterator[None]:
    """Let the output layer see only the chosen positions: logits (N, V) instead of (B, T, V).

    A hook keeps whatever a model family does to its logits afterwards (scaling, soft caps).
    """
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][is_target], *args[1:]))
    try:
        yield
    finally:
        handle.remove()
