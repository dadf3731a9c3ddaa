"""Five steps on two tiny models: a change that should not change a computation must not move them.

Renew them after one that should: PYTHONPATH=src python tests/golden/test_golden_losses.py
"""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from gemtune.config.schema import FineTuningConfig
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.loop import TrainingLoop
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.optimizer import build_optimizer
from gemtune.fine_tuning.plan import plan_run
from gemtune.fine_tuning.rows import Row
from gemtune.fine_tuning.setup import setup_peft_model
from gemtune.fine_tuning.state import Progress
from gemtune.monitoring.recorder import Recorder

GOLDEN = Path(__file__).with_name("losses.json")
MODELS: dict[str, PretrainedConfig] = {
    # Without dropout: random numbers are not the same on every CPU.
    "gpt2": GPT2Config(
        vocab_size=64,
        n_embd=32,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    ),
    "llama": LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    ),
}
CONFIG = FineTuningConfig.model_validate(
    {
        "lora": {"r": 4},
        "training": {"learning_rate": 1e-2, "max_steps": 5, "micro_batch_tokens": 100, "seed": 1},
    }
)


def rows(n_rows: int, name: str) -> list[Row]:
    """Counting in steps of 1 to 5; the second half of a row is trained."""
    found = []
    for i in range(n_rows):
        token_ids = (np.arange(6 + i % 11) * (1 + i % 5) + i) % 64
        found.append(Row(f"{name}-{i}", token_ids, np.arange(len(token_ids)) > len(token_ids) // 2))
    return found


def run(config: PretrainedConfig) -> dict[str, list[float]]:
    """Train five steps from fixed seeds; the losses and gradient norms that were recorded."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model, stream = setup_peft_model(base, CONFIG).get_base_model(), io.StringIO()
    assert isinstance(model, PreTrainedModel)
    masters = MasterWeights(model, torch.float32)
    limit = TokenLimit(0, False, CONFIG.training.micro_batch_tokens)
    ingredients = Ingredients(
        model=model,
        masters=masters,
        optimizer=build_optimizer(masters.weights, CONFIG.training, CONFIG.lora),
        train=rows(40, "train"),
        val=rows(7, "val"),
        plan=plan_run(40, CONFIG.training),
        training=CONFIG.training,
        recorder=Recorder(Path("run"), stream, io.StringIO(), ()),
        memory=MemoryLimit([limit], lambda _: None),
        progress=Progress(),
    )
    TrainingLoop(ingredients, lambda _: 0.0, log_every_steps=1).run()
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    keys = ("train/loss", "train/grad_norm", "eval/loss")
    return {key: [record[key] for record in records if key in record] for key in keys}


@pytest.mark.parametrize("name", MODELS)
def test_five_steps_give_the_golden_losses(name: str) -> None:
    wanted = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    found = run(MODELS[name])
    assert found.keys() == wanted.keys()
    for key in wanted:
        assert found[key] == pytest.approx(wanted[key], rel=1e-4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    values = {name: run(config) for name, config in MODELS.items()}
    GOLDEN.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
