"""Which layers of a model get an adapter."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from gemtune.errors import ConfigError

# A path component that says "attention" in the model families of transformers.
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)


def find_target_modules(model: PreTrainedModel, wanted: str | Sequence[str]) -> list[str]:
    """The full names of the linear layers that `wanted` selects, in the order of the model.

    Args:
        model: Any decoder-only model.
        wanted: "auto" (= "all-linear"), "attention", "all-linear" (every linear layer but the
            head), a list of names as PEFT takes them, or a regular expression for whole names.
            Layers that no text goes through, such as those of a vision tower, are never selected.

    Raises:
        ConfigError: nothing matches, a name of the list matches nothing, or the expression is
            not valid.
    """
    layers = _linear_layers(model)
    if not wanted or wanted in ("auto", "all-linear"):
        return _require(layers if wanted else [], str(wanted), layers)
    if wanted == "attention":
        return _require([name for name in layers if _is_attention(name)], wanted, layers)
    if isinstance(wanted, str):
        pattern = _compile(wanted)
        return _require([name for name in layers if pattern.fullmatch(name)], wanted, layers)
    for ending in wanted:
        _require([name for name in layers if _ends_with(name, ending)], ending, layers)
    return [name for name in layers if any(_ends_with(name, ending) for ending in wanted)]


def has_transposed_weights(model: PreTrainedModel, names: Sequence[str]) -> bool:
    """Whether the layers are GPT-2's Conv1D, whose weights have shape (in, out)."""
    return any(isinstance(model.get_submodule(name), Conv1D) for name in names)


def describe_targets(names: Sequence[str]) -> str:
    """Layers in words: how many of each kind."""
    endings = [name.rpartition(".")[2] for name in names]
    return ", ".join(f"{endings.count(ending)} x {ending}" for ending in dict.fromkeys(endings))


def _linear_layers(model: PreTrainedModel) -> list[str]:
    head = model.get_output_embeddings()
    in_decoder = set(model.get_decoder().modules())
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head and module in in_decoder
    ]


def _is_attention(name: str) -> bool:
    return any(_ATTENTION.search(part) for part in name.split(".")[:-1])


def _ends_with(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"fine_tuning.lora.target_modules: '{pattern}' is not a regular expression: {error}",
            fix="use auto, attention, all-linear, a list of layer names or a valid expression",
        ) from error


def _require(found: list[str], wanted: str, layers: Sequence[str]) -> list[str]:
    if found:
        return found
    endings = list(dict.fromkeys(name.rpartition(".")[2] for name in layers))
    close = get_close_matches(wanted, endings, n=1)
    raise ConfigError(
        f"fine_tuning.lora.target_modules: no layer of this model matches '{wanted}'",
        fix=(f"did you mean '{close[0]}'? " if close else "")
        + f"its layers are {', '.join(endings)}; 'all-linear' takes them all",
    )
