"""A small task for a small model, and the unbroken run of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from faults.attempts import ForkServer
from faults.finished_runs import Leftovers, read_leftovers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<|end|>", "<|pad|>", "<|start|>")
TEMPLATE = (
    "{% for message in messages %}"
    "<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
# Small, but with all that makes resuming hard: dropout, a last step that is not an epoch's end,
# validation and checkpoints at different steps, several micro-batches in a step.
SETTINGS: dict[str, Any] = {
    "data": {"max_length": 64},
    "monitoring": {"tensorboard": False},
    "fine_tuning": {
        "lora": {"r": 4, "dropout": 0.1, "lora_plus_ratio": 4.0},
        "training": {
            "batch_size": 4,
            "gradient_accumulation_steps": 2,
            "micro_batch_tokens": 240,
            "learning_rate": 2e-2,
            "epochs": 4,
            "max_steps": 14,
            "eval_every_steps": 5,
            "save_every_steps": 3,
            "save_every_minutes": 1000,
            "precision": "fp32",
        },
    },
}
COLOURS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class Task:
    """What a command line needs."""

    folder: Path
    data: Path
    model: Path
    config: Path

    def finetune(self, out: Path, *more: str) -> list[str]:
        """The arguments that start a run, and resume it."""
        return ["finetune", str(self.data), str(out), "--config-path", str(self.config), *more]


@dataclass(frozen=True, slots=True)
class Reference:
    """The unbroken run."""

    run_dir: Path
    leftovers: Leftovers
    seconds: float


def make_task(folder: Path) -> Task:
    """Write 30 rows to train on, a base model of 35,000 weights, and a config."""
    lines = [
        json.dumps({"input_text": f"colour {i} of {i % 3}?", "output_text": COLOURS[i % 3]}) + "\n"
        for i in range(50)
    ]
    task = Task(folder, folder / "data", folder / "model", folder / "config.yaml")
    task.data.mkdir()
    for name, part in (("train", lines[:30]), ("val", lines[30:40]), ("test", lines[40:])):
        (task.data / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    write_base(task.model)
    settings = json.loads(json.dumps(SETTINGS))
    settings["fine_tuning"]["model"] = str(task.model)
    task.config.write_text(json.dumps(settings), encoding="utf-8")
    return task


def run_undisturbed(server: ForkServer, task: Task, folder: Path, *more: str) -> Reference:
    """Make the run that others are compared with."""
    run_dir = folder / "run"
    # The first child fills caches (converted files, pages); the second one is timed.
    server.run(task.finetune(folder / "warm", *more))
    ending = server.run(task.finetune(run_dir, *more))
    assert ending.exit_code == 0, ending.text
    return Reference(run_dir, read_leftovers(run_dir), ending.seconds)


def write_base(folder: Path) -> None:
    """Write a Llama with random weights, a token for every byte, and a chat template."""
    letters = [*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(
        models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=SPECIAL_TOKENS[0], pad_token=SPECIAL_TOKENS[1]
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(letters),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        eos_token_id=0,
        pad_token_id=1,
        bos_token_id=None,
    )
    torch.manual_seed(1)
    LlamaForCausalLM(config).save_pretrained(folder)
