"""Whether the weights of a folder are as many as its config.json describes.

transformers fills what is missing with random numbers before it tells: for a config that describes
a larger model that takes all memory, and long.
"""

from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from gemtune.errors import ArtefactError

_SLACK = 1.5
"""What may be declared and not stored, such as tables that are computed; the rest is told later."""


def require_declared_weights(folder: Path) -> None:
    """Compare the size of the described model with the files, without making it.

    Raises:
        ArtefactError: the files hold much less.
        OSError, ValueError: and whatever transformers makes of a damaged config.
    """
    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    shapes = [shape for file in sorted(folder.glob("*.safetensors")) for shape in _shapes(file)]
    # Quantized weights are packed: several in an element.
    if getattr(config, "quantization_config", None) or not shapes:
        return
    # Layers take time to be described, too, and each has weights.
    if config.get_text_config().num_hidden_layers > len(shapes):
        raise _too_few(folder, f"more layers than the {len(shapes)} tensors that are there")
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    n_declared = sum(parameter.numel() for parameter in network.parameters())
    n_held = sum(shape.numel() for shape in shapes)
    if n_declared > _SLACK * n_held:
        raise _too_few(folder, f"{n_declared:,} weights for {n_held:,}")


def _shapes(file: Path) -> list[torch.Size]:
    with safe_open(str(file), framework="pt") as tensors:
        return [torch.Size(tensors.get_slice(name).get_shape()) for name in tensors.keys()]  # noqa: SIM118 - no mapping


def _too_few(folder: Path, what: str) -> ArtefactError:
    return ArtefactError(
        f"the model in {folder} is incomplete: its config.json describes more than its files hold, "
        f"{what}",
        fix="copy the model again, with config.json and all of its .safetensors files",
    )
