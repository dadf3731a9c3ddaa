"""Which trials can share passes through the base."""

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from gemtune.config.schema import LoraConfig
from gemtune.fine_tuning.targets import find_target_modules

# Models whose adapted layers see all tokens of a batch, in the order of the batch: layers of
# experts, for one, see those that were sent to them.
_MODEL_TYPES = frozenset({"gemma3_text", "gpt2", "llama", "mistral", "qwen2", "qwen3", "smollm3"})


def why_not_packed(base: PreTrainedModel, lora: LoraConfig) -> str | None:
    """Why adapters of this kind cannot be trained together on this base; None if they can."""
    if lora.use_dora:
        return "DoRA computes with the weights of the base"
    if lora.bias != "none":
        return "fine_tuning.lora.bias trains weights of the base"
    if lora.init == "pissa":
        return "PiSSA changes the weights of the base"
    if base.config.model_type not in _MODEL_TYPES:
        return f"models of the type {base.config.model_type} have not been tried"
    if _has_dropout(base):
        return "the base has dropout of its own"
    layers = [base.get_submodule(name) for name in find_target_modules(base, "all-linear")]
    if any(type(layer) not in (nn.Linear, Conv1D) for layer in layers):
        return "the base has layers that compute more than a product, such as quantized ones"
    if any(layer.weight.dtype != base.dtype for layer in layers):
        return "the base mixes number formats"
    return None


def _has_dropout(base: PreTrainedModel) -> bool:
    layers = any(isinstance(each, nn.Dropout) and each.p > 0 for each in base.modules())
    names = ("attention_dropout", "attn_pdrop")
    return layers or any(getattr(base.config, name, 0.0) for name in names)
