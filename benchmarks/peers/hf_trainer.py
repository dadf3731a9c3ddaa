"""The peer of `fault_table.py`: HF Trainer + PEFT, written as its documentation shows.

The command starts a run and resumes it: `get_last_checkpoint` finds where to go on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

SEED = 42


def main(words: list[str] | None = None) -> int:
    """Train, and save the adapter in OUT/final."""
    options = _parse(words)
    set_seed(SEED)
    tokenizer: Any = AutoTokenizer.from_pretrained(options.model)
    base = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    lora = LoraConfig(
        r=4,
        lora_alpha=32,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    model: Any = get_peft_model(base, lora)
    trainer = Trainer(
        model=model,
        args=_arguments(options),
        train_dataset=_rows(options.data / "train.jsonl", tokenizer),
        eval_dataset=_rows(options.data / "val.jsonl", tokenizer),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    last = get_last_checkpoint(str(options.out)) if options.out.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    trainer.save_model(str(options.out / "final"))
    return 0


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--learning-rate", type=float, default=2e-2)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--auto-batch-size", action="store_true")
    return parser.parse_args(words)


def _arguments(options: argparse.Namespace) -> TrainingArguments:
    """Those that help most: a checkpoint on SIGTERM, NaN shown as NaN, more than one checkpoint."""
    return TrainingArguments(
        output_dir=str(options.out),
        max_steps=options.steps,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=8 // options.batch_size,
        learning_rate=options.learning_rate,
        lr_scheduler_type="cosine",
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=5,
        save_steps=3,
        save_total_limit=3,
        enable_jit_checkpoint=True,
        auto_find_batch_size=options.auto_batch_size,
        use_cpu=True,
        seed=SEED,
        data_seed=SEED,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _rows(path: Path, tokenizer: Any) -> list[dict[str, list[int]]]:
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        example = json.loads(line)
        message = {"role": "user", "content": example["input_text"]}
        text = tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
        prompt = tokenizer(text, add_special_tokens=False).input_ids
        answer = [*tokenizer(example["output_text"]).input_ids, tokenizer.eos_token_id]
        rows.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
    return rows
