"""The four families in fp32, random rows, and a small task on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from gemtune.config.load import load_config
from gemtune.config.schema import Config
from gemtune.fine_tuning.rows import Row

N_TOKENS_OF_VOCABULARY = 260

MakeRows = Callable[..., list[Row]]
MakeConfig = Callable[..., Config]
WriteTask = Callable[..., Path]


@pytest.fixture
def base(tiny_model_dir: Path) -> PreTrainedModel:
    """Each of the four families in turn, in fp32."""
    return AutoModelForCausalLM.from_pretrained(str(tiny_model_dir), dtype=torch.float32)


@pytest.fixture
def llama(tiny_llama_dir: Path) -> PreTrainedModel:
    """One model where the family does not matter."""
    return AutoModelForCausalLM.from_pretrained(str(tiny_llama_dir), dtype=torch.float32)


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """Random rows of 3 to 40 tokens with random targets; the last token is always one."""

    def make(n_rows: int, seed: int = 0) -> list[Row]:
        random = np.random.default_rng(seed)
        rows = []
        for i in range(n_rows):
            length = int(random.integers(3, 41))
            trained = random.random(length) < 0.5
            trained[-1] = True
            token_ids = random.integers(5, N_TOKENS_OF_VOCABULARY, length)
            rows.append(Row(f"row-{i}", token_ids, trained))
        return rows

    return make


@pytest.fixture(scope="session")
def write_task() -> WriteTask:
    """Write a task that a tiny model learns in a few steps: which word belongs to a number."""

    def write(folder: Path, *, n_train: int = 60, n_val: int = 12) -> Path:
        words = ("red", "green", "blue")
        lines = [
            json.dumps({"input_text": f"colour {i} of {i % 3}?", "output_text": words[i % 3]})
            for i in range(n_train + n_val)
        ]
        folder.mkdir(parents=True)
        (folder / "train.jsonl").write_text("\n".join(lines[:n_train]) + "\n", encoding="utf-8")
        if n_val:
            (folder / "val.jsonl").write_text("\n".join(lines[n_train:]) + "\n", encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """Settings with which a tiny model learns the task in fp32, and overrides on top."""

    def make(model_dir: Path, *overrides: str) -> Config:
        settings = (
            f"fine_tuning.model={model_dir}",
            "fine_tuning.lora.r=4",
            "fine_tuning.training.precision=fp32",
            "fine_tuning.training.learning_rate=2e-2",
            "fine_tuning.training.epochs=2",
        )
        return load_config((), (*settings, *overrides))

    return make
