"""Crafted models for the tests of SECURITY.md's rules."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from crafted_models import canary, copy_of, pickle_trap, tiny_gguf
from peft import LoraConfig, get_peft_model

from gemtune.config.schema import DataConfig, FineTuningConfig
from gemtune.models.adapter_files import write_adapter_record
from gemtune.models.load import load_base_model, load_tokenizer
from gemtune.models.quiet import quiet_transformers
from gemtune.models.template import template_digest

__all__ = ["canary", "copy_of", "pickle_trap", "tiny_gguf"]

SaveAdapter = Callable[[Path, DataConfig], Path]


@pytest.fixture
def save_adapter(tmp_path: Path) -> SaveAdapter:
    """Write an adapter of gemtune that changes nothing, trained with these data settings."""

    def save(base: Path, data: DataConfig) -> Path:
        folder = tmp_path / "adapter"
        config = FineTuningConfig(model=str(base))
        model = load_base_model(config, torch.float32, torch.device("cpu"))
        with quiet_transformers():
            adapted = get_peft_model(model, LoraConfig(target_modules="all-linear"))
            adapted.save_pretrained(str(folder))
        tokenizer = load_tokenizer(config)
        tokenizer.save_pretrained(folder)
        write_adapter_record(folder, config, data, template_digest(tokenizer, data))
        return folder

    return save
