"""Writing an adapter so that gemtune, plain PEFT and transformers can load it."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from gemtune.config.schema import Config
from gemtune.models.adapter_files import ADAPTER_WEIGHTS_FILE, write_adapter_record
from gemtune.models.template import template_digest
from gemtune.runs.files import write_bytes


@dataclass(frozen=True, slots=True, eq=False)
class AdapterWriter:
    """All that an adapter folder holds, except for the weights of the moment."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase
    config: Config
    base_name: str
    """From `portable_name`; it may read a whole model file, so it is not asked for every time."""
    initial: Mapping[str, Tensor]
    """The weights before the first step, by parameter name."""
    answer_tokens_p99: int
    """Tokens, end token included, that 99 % of the training answers do not exceed."""

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write adapter, tokenizer, chat template and `gemtune.json` into an empty folder."""
        fine_tuning = self.config.fine_tuning
        peft_config = copy.deepcopy(self.model.peft_config["default"])
        assert isinstance(peft_config, LoraConfig)
        peft_config.inference_mode = True
        peft_config.base_model_name_or_path = self.base_name
        peft_config.revision = fine_tuning.revision
        assert peft_config.target_modules is not None
        # PEFT keeps a set, whose order changes from process to process.
        peft_config.target_modules = sorted(peft_config.target_modules)
        tensors = self._in_peft_names(weights)
        if peft_config.init_lora_weights == "pissa":
            initial = self._in_peft_names(self.initial)
            tensors = _relative_to_base(tensors, initial)
            _double_rank(peft_config)
        plain = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
        write_bytes(folder / ADAPTER_WEIGHTS_FILE, save(plain, metadata={"format": "pt"}))
        peft_config.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(str(folder))
        digest = template_digest(self.tokenizer, self.config.data)
        write_adapter_record(folder, fine_tuning, self.config.data, digest, self.answer_tokens_p99)

    def estimate_bytes(self, n_weight_bytes: int) -> int:
        """Tell about how much room the folder takes, for that many bytes of weights."""
        doubled = self.config.fine_tuning.lora.init == "pissa"
        tokenizer = getattr(self.tokenizer, "backend_tokenizer", None)
        n_tokenizer_bytes = len(tokenizer.to_str(pretty=True)) if tokenizer else 0
        return n_weight_bytes * (2 if doubled else 1) + n_tokenizer_bytes

    def _in_peft_names(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # "auto" would look for the base's config, on the hub too, at every checkpoint.
        return get_peft_model_state_dict(
            self.model, state_dict=dict(weights), save_embedding_layers=False
        )


def _relative_to_base(
    tensors: Mapping[str, Tensor], initial: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Turn a PiSSA adapter into a plain one of twice the rank.

    PiSSA trains on W - B0 A0; on W itself the same change is BA - B0 A0 = [B, -B0] [A; A0].
    """
    plain = dict(tensors)
    for name, tensor in tensors.items():
        if "lora_A" in name:
            plain[name] = torch.cat([tensor, initial[name]], dim=0)
        elif "lora_B" in name:
            plain[name] = torch.cat([tensor, -initial[name]], dim=1)
    return plain


def _double_rank(peft_config: LoraConfig) -> None:
    peft_config.init_lora_weights = True
    peft_config.r *= 2
    # The scaling must stay what it was in training: alpha / r, or alpha / sqrt(r) with rsLoRA.
    # PEFT declares a whole number, but only ever divides it.
    peft_config.lora_alpha *= math.sqrt(2) if peft_config.use_rslora else 2  # type: ignore[bad-assignment]
