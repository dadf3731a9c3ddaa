"""Peers of `hpo.py`: searches with transformers, PEFT and Optuna, as their documentation shows.

    python benchmarks/peers/hf_search.py SPEC.json

`plan's loop` is the loop of the plan, repaired only so far that it runs: it reports a loss instead
of a dictionary, and warms up for a share of the steps, of which there may be fewer than 100. Every
trial loads the base and the rows anew and runs to its end. `hyperparameter_search` is that of the
Trainer with its best settings: rows in tokens are kept, validated three times a trial for Optuna's
MedianPruner, grouped by length. `loss` measures adapters of anybody, in fp32 and row by row.
Prints trials or losses as one line of JSON.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

Spec = dict[str, Any]
Row = dict[str, list[int]]
# What `TrainingArguments` calls them; the others are LoRA's.
ARGUMENTS = {
    "learning_rate": "learning_rate",
    "batch_size": "per_device_train_batch_size",
    "weight_decay": "weight_decay",
}
N_VALIDATIONS = 3


def main() -> None:
    """Do what the spec says, in the way that it says."""
    spec = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(spec["threads"])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = WAYS[spec["way"]](spec)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(found | {"peak_gib": peak_gib}))


def plan_loop(spec: Spec) -> Spec:
    """`optimize_hyperparameters` of the plan."""

    def objective(trial: optuna.Trial) -> float:
        params = choose(trial, spec)
        tokenizer: Any = AutoTokenizer.from_pretrained(spec["model"])
        trainer = Trainer(
            model=make_model(params, spec),
            args=arguments(spec, **{ARGUMENTS[name]: params[name] for name in ARGUMENTS}),
            train_dataset=encode("train", tokenizer, spec),
            eval_dataset=encode("val", tokenizer, spec),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
        )
        trainer.train()
        trainer.save_model(adapter_dir(trial.number, spec))
        return trainer.evaluate()["eval_loss"]

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=spec["seed"]))
    study.optimize(objective, n_trials=spec["n_trials"])
    return describe(study, spec)


def hyperparameter_search(spec: Spec) -> Spec:
    """`Trainer.hyperparameter_search` with Optuna."""
    tokenizer: Any = AutoTokenizer.from_pretrained(spec["model"])
    numbers = [0]

    class Keeper(TrainerCallback):
        def on_train_end(self, *_: object, **kwargs: Any) -> None:
            kwargs["model"].save_pretrained(adapter_dir(numbers[-1], spec))

    def space(trial: optuna.Trial) -> dict[str, Any]:
        numbers.append(trial.number)
        if is_last(trial.number, spec):
            trial.study.stop()
        params = choose(trial, spec)
        return {ARGUMENTS[name]: params[name] for name in ARGUMENTS}

    def model_init(trial: optuna.Trial | None) -> Any:
        return make_model(choose(trial, spec) if trial else spec["defaults"], spec)

    trainer = Trainer(
        model_init=model_init,
        args=arguments(
            spec,
            # Nobody is to be pruned among given settings; their ends are validated anyway.
            eval_strategy="no" if spec["frozen"] else "steps",
            eval_steps=1 / N_VALIDATIONS,
            train_sampling_strategy="group_by_length",
        ),
        train_dataset=encode("train", tokenizer, spec),
        eval_dataset=encode("val", tokenizer, spec),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
        callbacks=[Keeper()],
    )
    storage = f"sqlite:///{spec['out']}/study.db"
    trainer.hyperparameter_search(
        hp_space=space,
        compute_objective=lambda metrics: metrics["eval_loss"],
        n_trials=spec["n_trials"],
        direction="minimize",
        backend="optuna",
        storage=storage,
        study_name="benchmark",
        sampler=optuna.samplers.TPESampler(seed=spec["seed"]),
        pruner=optuna.pruners.NopPruner() if spec["frozen"] else optuna.pruners.MedianPruner(),
    )
    return describe(optuna.load_study(study_name="benchmark", storage=storage), spec)


def choose(trial: optuna.Trial, spec: Spec) -> dict[str, Any]:
    """The hyperparameters of a trial: given ones, or those that the sampler suggests."""
    if spec["frozen"]:
        return spec["frozen"][trial.number]
    found = {}
    for name, each in spec["ranges"].items():
        if "choices" in each:
            found[name] = trial.suggest_categorical(name, each["choices"])
        else:
            found[name] = trial.suggest_float(name, each["low"], each["high"], log=each["log"])
    return {**spec["defaults"], **found}


def is_last(number: int, spec: Spec) -> bool:
    """Whether another trial after this one would exceed the budget, as trials took so far."""
    if spec["budget_cpu_seconds"] is None or number == 0:
        return False
    spent = time.process_time()
    return spent * (1 + 2 / number) > spec["budget_cpu_seconds"]


def make_model(params: dict[str, Any], spec: Spec) -> Any:
    """The base with a new adapter."""
    set_seed(spec["seed"])
    lora = LoraConfig(
        r=params["lora_r"],
        lora_alpha=params["lora_alpha"],
        lora_dropout=params["lora_dropout"],
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(load_base(spec, spec["precision"]), lora)


def load_base(spec: Spec, precision: str) -> Any:
    """The base in a number format."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return AutoModelForCausalLM.from_pretrained(spec["model"], dtype=dtype)


def arguments(spec: Spec, **more: Any) -> TrainingArguments:
    """What is the same for all trials, and what is not."""
    return TrainingArguments(
        output_dir=f"{spec['out']}/trainer",
        bf16=spec["precision"] == "bf16",
        use_cpu=not torch.cuda.is_available(),
        per_device_eval_batch_size=16,
        num_train_epochs=spec["epochs"],
        lr_scheduler_type="cosine",
        warmup_steps=spec["warmup_ratio"],
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=spec["seed"],
        **more,
    )


def encode(split: str, tokenizer: Any, spec: Spec) -> list[Row]:
    """Rows in tokens; only the answer and its end are learned."""
    rows = []
    lines = Path(spec["data"], f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    for example in map(json.loads, lines):
        prompt = tokenizer(example["input_text"] + "\n").input_ids
        answer = [*tokenizer(example["output_text"]).input_ids, tokenizer.eos_token_id]
        rows.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
    return rows


def adapter_dir(number: int, spec: Spec) -> str:
    """Where the adapter of a trial is kept."""
    return f"{spec['out']}/trial-{number}"


def describe(study: optuna.Study, spec: Spec) -> Spec:
    """Trials as plain data."""
    return {
        "best": study.best_trial.number,
        "trials": [
            {
                "state": trial.state.name.lower(),
                "loss": trial.value,
                "adapter": adapter_dir(trial.number, spec),
            }
            for trial in study.trials
        ],
    }


def losses(spec: Spec) -> Spec:
    """Validation loss of the base and of adapters, nats per token of the answers."""
    tokenizer: Any = AutoTokenizer.from_pretrained(spec["model"])
    rows = encode("val", tokenizer, spec)
    base = load_base(spec, "fp32").eval()
    found = [mean_loss(base, rows)]
    for adapter in spec["adapters"]:
        model = PeftModel.from_pretrained(base, adapter).eval()
        found.append(mean_loss(model, rows))
        base = model.unload()
    return {"losses": found}


def mean_loss(model: Any, rows: list[Row]) -> float:
    """Mean over all tokens of the answers."""
    total, n_tokens = 0.0, 0
    for row in rows:
        targets = torch.tensor(row["labels"][1:])
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        n_tokens += int((targets != -100).sum())
    return total / n_tokens


WAYS: dict[str, Callable[[Spec], Spec]] = {
    "plan's loop": plan_loop,
    "hyperparameter_search": hyperparameter_search,
    "loss": losses,
}

if __name__ == "__main__":
    main()
