"""The names, the config and the command of the plan that gemtune grew from, as written there."""

import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from plan_example import PLAN_EXAMPLE

import gemtune
from gemtune.config.load import load_config

ROOT = Path(__file__).resolve().parents[1]

# What the plan calls, where it is, and the parameters that can be given by position.
NAMES = [
    ("setup_peft_model", "gemtune.fine_tuning.setup", ["model", "config"]),
    ("finetune_model", "gemtune.fine_tuning.train", ["data_dir", "output_dir", "config"]),
    ("evaluate_model", "gemtune.evaluation.metrics", ["model_dir", "test_data", "output_dir"]),
    (
        "compare_models",
        "gemtune.evaluation.comparison",
        ["base", "tuned", "test_data", "output_dir"],
    ),
    (
        "optimize_hyperparameters",
        "gemtune.hyperparameter.optimize",
        ["data_dir", "output_dir", "config", "n_trials", "timeout"],
    ),
    (
        "finetune_with_best_params",
        "gemtune.hyperparameter.optimize",
        ["data_dir", "output_dir", "config", "best_params"],
    ),
]
COMMAND = (
    "python -m src.main finetune data/training_data data/model "
    "--config-path config/modified_config.yaml"
)
OUTPUT_DIR = "data/model"


@pytest.mark.parametrize(("name", "home", "parameters"), NAMES)
def test_a_name_of_the_plan_is_here_and_takes_what_the_plan_gives(
    name: str, home: str, parameters: list[str]
) -> None:
    function = getattr(import_module(home), name)
    assert getattr(gemtune, name) is function
    found = inspect.signature(function).parameters.values()
    assert [p.name for p in found if p.kind is not p.KEYWORD_ONLY] == parameters
    assert all(p.default is not p.empty for p in found if p.kind is p.KEYWORD_ONLY)


def test_evaluate_model_needs_no_output_folder() -> None:
    assert inspect.signature(gemtune.evaluate_model).parameters["output_dir"].default is None


def test_the_config_of_the_plan_loads_with_gpt2_in_the_place_of_gemini_pro(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN_EXAMPLE, encoding="utf-8")
    fine_tuning = load_config([path], ["fine_tuning.model=gpt2"]).fine_tuning
    assert (fine_tuning.model, fine_tuning.method) == ("gpt2", "peft")
    assert fine_tuning.lora.target_modules == ["c_attn", "c_proj"]
    assert (fine_tuning.training.warmup_steps, fine_tuning.training.fp16) == (100, True)


def run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=900, env=environment,
    )  # fmt: skip


def test_the_command_of_the_plan_runs_with_a_tiny_model(
    tiny_llama_dir: Path, tmp_path: Path
) -> None:
    words = COMMAND.replace(OUTPUT_DIR, str(tmp_path / "model")).split()[1:]
    tiny = [f"fine_tuning.model={tiny_llama_dir}", "fine_tuning.training.max_steps=2"]
    process = run([*words, *tiny, "data.max_length=256"])
    assert (process.returncode, process.stdout.splitlines()[0][:15]) == (0, "trained 2 steps"), (
        process.stderr
    )
    assert (tmp_path / "model" / "adapter_model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_the_command_of_the_plan_runs_with_its_own_model(tmp_path: Path) -> None:
    words = COMMAND.replace(OUTPUT_DIR, str(tmp_path / "model")).split()[1:]
    process = run([*words, "fine_tuning.training.max_steps=2"])
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "model" / "adapter_model.safetensors").exists()
