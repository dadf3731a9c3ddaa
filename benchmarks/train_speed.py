"""Training speed on a CPU: gemtune against HF Trainer + PEFT, in one interleaved run.

Every contestant trains SmolLM2-135M with LoRA (r=16) on the same rows with the same effective
batch, in a process of its own; real (unpadded) tokens a second of the training steps, loading not
counted.
The first step is left out on both sides. The losses of the first steps are printed, so that one can
see that the same thing was computed.

    python benchmarks/train_speed.py [--rows 96] [--repeats 3] [--targets attention] [--dropout 0.1]
                                     [--only NAME ...]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

EFFECTIVE_BATCH = 32
E2E_TRAIN = Path(__file__).parents[1].parent / "shared" / "datasets" / "e2e" / "train.jsonl"


def main() -> None:
    """Run all contestants in turn, several times, and print medians and ratios."""
    options = parse_options()
    if options.contestant:
        run_contestant(options)
        return
    if not E2E_TRAIN.exists():
        sys.exit(f"skipped: {E2E_TRAIN} is not there")
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only}
    for _ in range(options.repeats):
        for name, results in runs.items():
            results.append(run_in_process(name, sys.argv[1:]))
    print_table(runs, options)


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--targets", default="attention", choices=["attention", "all-linear"])
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_in_process(name: str, arguments: list[str]) -> dict[str, Any]:
    """Run one contestant; its last line of output is its result."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments, "--contestant", name],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_contestant(options: argparse.Namespace) -> None:
    """Train and print tokens a second, losses and peak memory."""
    import resource

    step_seconds, step_tokens, losses = CONTESTANTS[options.contestant](options)
    rate = sum(step_tokens[1:]) / sum(step_seconds[1:])
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"rate": rate, "losses": losses, "peak_gib": peak_gib}))


Measured = tuple[list[float], list[int], list[float]]


def train_ours(options: argparse.Namespace, precision: str) -> Measured:
    """Train with gemtune's own loop and read what it recorded."""
    from gemtune.config.load import load_config
    from gemtune.fine_tuning.train import finetune_model

    config = load_config(
        (),
        (
            "data.template=plain",
            f"fine_tuning.lora.target_modules={options.targets}",
            f"fine_tuning.lora.dropout={options.dropout}",
            f"fine_tuning.training.batch_size={EFFECTIVE_BATCH}",
            "fine_tuning.training.epochs=1",
            "fine_tuning.training.learning_rate=1e-4",
            "fine_tuning.training.lr_scheduler=constant",
            "fine_tuning.training.warmup_steps=0",
            f"fine_tuning.training.precision={precision}",
            "monitoring.tensorboard=false",
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        lines = E2E_TRAIN.read_text(encoding="utf-8").splitlines()[: options.rows]
        (data / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        finetune_model(data, Path(folder) / "run", config)
        # What was computed, and what the clock said: a line each for the same records.
        metrics, speed = (
            [json.loads(line) for line in (Path(folder) / "run" / name).read_text().splitlines()]
            for name in ("metrics.jsonl", "speed.jsonl")
        )
    steps = [record for record in metrics if record["kind"] == "train"]
    return (
        [record["train/step_seconds"] for record in speed if record["kind"] == "train"],
        [record["train/step_tokens"] for record in steps],
        [record["train/loss"] for record in steps],
    )


def train_hf(options: argparse.Namespace, *, bf16: bool) -> Measured:
    """Train with transformers' Trainer on a PEFT model, as its documentation shows."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        PreTrainedTokenizerBase,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from gemtune.models.source import model_folder

    folder = str(model_folder("smollm2-135m", None, with_weights=True))
    tokenizer = cast(PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(folder))
    rows = []
    for line in E2E_TRAIN.read_text(encoding="utf-8").splitlines()[: options.rows]:
        row = json.loads(line)
        prompt = tokenizer(row["input_text"] + "\n").input_ids
        answer = [*tokenizer(row["output_text"]).input_ids, tokenizer.eos_token_id]
        rows.append(
            {
                "input_ids": prompt + answer,
                "labels": [-100] * len(prompt) + answer,
                "attention_mask": [1] * (len(prompt) + len(answer)),
            }
        )
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        LoraConfig(
            r=16,
            lora_alpha=32,
            lora_dropout=options.dropout,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]
            if options.targets == "attention"
            else "all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    seconds: list[float] = []

    class Clock(TrainerCallback):
        started = 0.0

        def on_step_begin(self, *args: object, **kwargs: object) -> None:
            self.started = time.perf_counter()

        def on_step_end(self, *args: object, **kwargs: object) -> None:
            seconds.append(time.perf_counter() - self.started)

    with tempfile.TemporaryDirectory() as output_dir:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=output_dir,
                bf16=bf16,
                use_cpu=True,
                per_device_train_batch_size=8,
                gradient_accumulation_steps=EFFECTIVE_BATCH // 8,
                learning_rate=1e-4,
                lr_scheduler_type="constant",
                num_train_epochs=1,
                weight_decay=0.01,
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                seed=42,
            ),
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
            callbacks=[Clock()],
        )
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    # The order of the rows is the Trainer's own; a step's share of the tokens is the mean share.
    tokens = sum(len(row["input_ids"]) for row in rows) // len(seconds)
    return seconds, [tokens] * len(seconds), losses


CONTESTANTS: dict[str, Callable[[argparse.Namespace], Measured]] = {
    "gemtune, auto precision": lambda options: train_ours(options, "auto"),
    "gemtune, fp32": lambda options: train_ours(options, "fp32"),
    "HF Trainer + PEFT, fp32": lambda options: train_hf(options, bf16=False),
    "HF Trainer + PEFT, bf16": lambda options: train_hf(options, bf16=True),
}


def print_table(runs: dict[str, list[dict[str, Any]]], options: argparse.Namespace) -> None:
    """Print medians, ratios to the best peer, and the losses."""
    medians = {
        name: statistics.median(run["rate"] for run in found) for name, found in runs.items()
    }
    best_peer = max(rate for name, rate in medians.items() if name.startswith("HF"))
    print(
        f"SmolLM2-135M, LoRA r=16 {options.targets}, dropout {options.dropout}, E2E,"
        f" {options.rows} rows, effective batch {EFFECTIVE_BATCH}, median of {options.repeats}"
    )
    print("| who | tokens/s | x best peer | peak GiB | losses of the steps |")
    print("|---|---|---|---|---|")
    for name, found in runs.items():
        losses = ", ".join(f"{loss:.3f}" for loss in map(float, found[0]["losses"]))
        peak = statistics.median(run["peak_gib"] for run in found)
        ratio = medians[name] / best_peer
        print(f"| {name} | {medians[name]:.0f} | {ratio:.2f} | {peak:.1f} | {losses} |")


if __name__ == "__main__":
    main()
