"""`finetune_model` from a data folder to a run folder, with a tiny model."""

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from gemtune.config.load import load_config
from gemtune.config.schema import Config
from gemtune.data.load import load_examples
from gemtune.errors import ArtefactError, ConfigError, DataError, NotFiniteError
from gemtune.fine_tuning.rows import encode_rows
from gemtune.fine_tuning.step import mean_loss
from gemtune.fine_tuning.train import FinetuneResult, finetune_model
from gemtune.models.load import load_model_for_generation
from gemtune.models.template import row_encoder

WriteTask = Callable[..., Path]
MakeConfig = Callable[..., Config]


@pytest.fixture(scope="module")
def data_dir(write_task: WriteTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The task, on disk once for all tests."""
    return write_task(tmp_path_factory.mktemp("task") / "data")


@pytest.fixture(scope="module")
def finished(
    data_dir: Path,
    tiny_llama_dir: Path,
    make_config: MakeConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> FinetuneResult:
    """A finished run that several tests look at."""
    run_dir = tmp_path_factory.mktemp("run") / "deep" / "er"
    return finetune_model(data_dir, run_dir, make_config(tiny_llama_dir))


def records(run_dir: Path, kind: str = "") -> list[dict[str, Any]]:
    """What `metrics.jsonl` holds."""
    lines = (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [found for found in map(json.loads, lines) if kind in ("", found["kind"])]


def run_json(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "run.json").read_text(encoding="utf-8"))


def test_the_validation_loss_falls(finished: FinetuneResult) -> None:
    assert finished.base_loss is not None
    assert finished.best_loss is not None
    assert finished.best_loss < 0.5 * finished.base_loss


def test_the_run_folder_holds_adapter_tokenizer_template_and_record(
    finished: FinetuneResult,
) -> None:
    adapter = {
        "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "gemtune.json",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    record = {
        "checkpoints", "config.resolved.json", "manifest.json", "metrics.jsonl", "run.json",
        "run.lock", "speed.jsonl", "tensorboard",
    }  # fmt: skip
    state = {"manifest.json", "metrics.jsonl", "state.json", "training_state.safetensors"}
    folder = finished.output_dir
    assert {path.name for path in folder.iterdir()} == adapter | record
    checkpoints = sorted((folder / "checkpoints").iterdir())
    assert [path.name for path in checkpoints] == ["step-00000008", "step-00000016"]
    for checkpoint in checkpoints:
        assert {path.name for path in checkpoint.iterdir()} == adapter | state


def test_the_adapter_in_the_run_folder_is_the_best_one_not_the_last(
    data_dir: Path, tiny_llama_dir: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    # Validation wants the opposite of what is trained: the longer, the worse.
    data = shutil.copytree(data_dir, tmp_path / "data")
    text = (data / "val.jsonl").read_text(encoding="utf-8")
    (data / "val.jsonl").write_text(re.sub("red|green|blue", "ZZZ", text), encoding="utf-8")
    every_step = ("fine_tuning.training.eval_every_steps=1", "fine_tuning.training.max_steps=6")
    config = make_config(tiny_llama_dir, *every_step)
    result = finetune_model(data, tmp_path / "run", config)
    losses = [record["eval/loss"] for record in records(result.output_dir, "eval")][1:]
    assert result.best_loss == min(losses) < losses[-1]
    best = f"checkpoints/step-{losses.index(min(losses)) + 1:08d}"
    adapters = [
        (result.output_dir / folder / "adapter_model.safetensors").read_bytes()
        for folder in ("", best, "checkpoints/step-00000006")
    ]
    assert adapters[0] == adapters[1] != adapters[2]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of PEFT itself
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["fine_tuning.lora.init=pissa"],
        ["fine_tuning.lora.use_dora=true"],
        ["fine_tuning.lora.use_rslora=true", "fine_tuning.lora.init=pissa"],
        ["fine_tuning.lora.bias=all"],
    ],
    ids=lambda overrides: ",".join(overrides) or "plain",
)
def test_plain_peft_reaches_the_best_validation_loss_of_the_run(
    overrides: list[str],
    data_dir: Path,
    tiny_model_dir: Path,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    config = make_config(tiny_model_dir, "fine_tuning.training.max_steps=4", *overrides)
    result = finetune_model(data_dir, tmp_path / "run", config)
    base = AutoModelForCausalLM.from_pretrained(str(tiny_model_dir), dtype=torch.float32)
    loaded = PeftModel.from_pretrained(base, str(result.output_dir)).get_base_model()
    assert isinstance(loaded, PreTrainedModel)
    tokenizer = AutoTokenizer.from_pretrained(str(result.output_dir))
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    encode = row_encoder(tokenizer, config.data)
    rows = encode_rows(load_examples(data_dir / "val.jsonl"), encode)
    assert mean_loss(loaded, rows, max_tokens=500) == pytest.approx(result.best_loss, rel=1e-5)


def test_the_record_says_what_was_run_and_how_it_ended(finished: FinetuneResult) -> None:
    found = run_json(finished.output_dir)
    assert found["status"] == "done"
    assert found["plan"]["n_steps"] == found["result"]["n_steps"] == finished.n_steps == 16
    assert found["model"]["dtype"] == "float32"
    assert set(found["data"]) == {"train", "val"}
    assert all(len(split["sha256"]) == 64 for split in found["data"].values())
    assert set(found["identity"]["base"]) == {"model.safetensors", "config.json"}
    assert "tokenizer.json" in found["identity"]["tokenizer"]
    assert found["environment"]["packages"]["torch"].startswith("2.")


def test_the_same_seed_gives_the_same_bytes_and_the_resolved_config_runs_again(
    finished: FinetuneResult, data_dir: Path, tmp_path: Path
) -> None:
    config = load_config([finished.output_dir / "config.resolved.json"])
    again = finetune_model(data_dir, tmp_path / "run", config)
    for name in ("adapter_model.safetensors", "adapter_config.json", "config.resolved.json"):
        assert (again.output_dir / name).read_bytes() == (finished.output_dir / name).read_bytes()
    assert records(again.output_dir) == records(finished.output_dir)


def test_another_seed_gives_another_run(
    finished: FinetuneResult,
    data_dir: Path,
    tiny_llama_dir: Path,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    config = make_config(
        tiny_llama_dir, "fine_tuning.training.seed=1", "fine_tuning.training.max_steps=1"
    )
    other = finetune_model(data_dir, tmp_path / "run", config)
    assert records(other.output_dir, "train")[0] != records(finished.output_dir, "train")[0]


def test_without_validation_data_the_last_adapter_is_the_result(
    tiny_llama_dir: Path, write_task: WriteTask, make_config: MakeConfig, tmp_path: Path
) -> None:
    data = write_task(tmp_path / "data", n_train=8, n_val=0)
    result = finetune_model(data, tmp_path / "run", make_config(tiny_llama_dir))
    assert (result.base_loss, result.best_loss, result.n_steps) == (None, None, 2)
    assert records(result.output_dir, "eval") == []
    assert (result.output_dir / "adapter_model.safetensors").exists()


def test_every_step_is_recorded_with_its_epoch(finished: FinetuneResult) -> None:
    steps = records(finished.output_dir, "train")
    assert [record["step"] for record in steps] == list(range(1, 17))
    assert steps[-1]["train/epoch"] == 2.0
    assert [record["epoch/number"] for record in records(finished.output_dir, "epoch")] == [1, 2]


def test_a_broken_base_stops_the_run_and_leaves_nothing_that_is_not_finite(
    data_dir: Path, tiny_llama_dir: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    model_dir = shutil.copytree(tiny_llama_dir, tmp_path / "model")
    weights = load_file(model_dir / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0] = torch.nan
    save_file(weights, model_dir / "model.safetensors", metadata={"format": "pt"})
    data = shutil.copytree(data_dir, tmp_path / "data")
    (data / "val.jsonl").unlink()
    with pytest.raises(NotFiniteError, match=r"the loss is nan at step 1; rows: train-\d+, "):
        finetune_model(data, tmp_path / "run", make_config(model_dir))
    found = run_json(tmp_path / "run")
    assert found["status"] == "stopped"
    assert found["error"].startswith("NotFiniteError: the loss is nan at step 1")
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    assert "nan" not in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").lower()


def test_overwrite_replaces_the_run_and_keeps_foreign_files(
    data_dir: Path, tiny_llama_dir: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    config = make_config(tiny_llama_dir, "fine_tuning.training.max_steps=1")
    finetune_model(data_dir, run_dir, config)
    (run_dir / "notes.txt").write_text("mine", encoding="utf-8")
    other = make_config(tiny_llama_dir, "fine_tuning.training.max_steps=1", "fine_tuning.lora.r=2")
    with pytest.raises(ArtefactError, match=r"fine_tuning.lora.r: 4 -> 2") as caught:
        finetune_model(data_dir, run_dir, other)
    assert "--overwrite" in caught.value.fix
    result = finetune_model(data_dir, run_dir, other, overwrite=True)
    assert not result.was_done
    assert (run_dir / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert len(records(run_dir, "train")) == 1


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["fine_tuning.lora.target_modules=[q_pro]"], ConfigError, "matches 'q_pro'"),
        (["data.max_length=8"], DataError, "no token of the answer"),
    ],
)
def test_what_fails_before_training_leaves_no_folder_and_no_parents(
    overrides: list[str],
    error: type[Exception],
    message: str,
    data_dir: Path,
    tiny_llama_dir: Path,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        finetune_model(data_dir, tmp_path / "a" / "b", make_config(tiny_llama_dir, *overrides))
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_the_model_cannot_take_is_told_with_the_longest_that_it_can(
    tiny_gpt2_dir: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    row = {"input_text": "a " * 200, "output_text": "b"}
    (data / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="more than the 256 that this model takes") as caught:
        finetune_model(data, tmp_path / "run", make_config(tiny_gpt2_dir))
    assert caught.value.fix.startswith("set data.max_length=256")


def test_a_tokenizer_of_another_model_is_told_before_training(
    tiny_llama_dir: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    base, data = tmp_path / "base", tmp_path / "data"
    shutil.copytree(tiny_llama_dir, base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert tokenizer
    tokenizer.add_tokens(["sunflower"])
    tokenizer.save_pretrained(base)
    data.mkdir()
    row = {"input_text": "a sunflower", "output_text": "b"}
    (data / "train.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")

    with pytest.raises(ArtefactError, match=r"makes token \d+, but the model knows only \d+"):
        finetune_model(data, tmp_path / "run", make_config(base))
    assert not (tmp_path / "run").exists()


def test_a_warmup_beyond_half_of_the_run_is_cut_with_a_warning(
    data_dir: Path,
    tiny_llama_dir: Path,
    make_config: MakeConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "gemtune")
    config = make_config(
        tiny_llama_dir, "fine_tuning.training.warmup_steps=9", "fine_tuning.training.max_steps=3"
    )
    finetune_model(data_dir, tmp_path / "run", config)
    assert caplog.messages == [
        "fine_tuning.training.warmup_steps=9 is more than half of the 3 steps: 1 are used"
    ]


@pytest.mark.parametrize("bias", ["none", "all"])
def test_the_record_counts_the_whole_base(
    bias: str, data_dir: Path, tiny_gpt2_dir: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(
        tiny_gpt2_dir, "fine_tuning.training.max_steps=1", f"fine_tuning.lora.bias={bias}"
    )
    result = finetune_model(data_dir, tmp_path / "run", config)
    base = AutoModelForCausalLM.from_pretrained(str(tiny_gpt2_dir))
    counted = run_json(result.output_dir)["model"]["base_parameters"]
    assert counted == sum(weight.numel() for weight in base.parameters())


def test_an_adapter_finds_a_base_that_was_named_from_another_folder(
    data_dir: Path,
    tiny_llama_dir: Path,
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tiny_llama_dir.parent)
    config = make_config(Path(tiny_llama_dir.name), "fine_tuning.training.max_steps=1")
    result = finetune_model(data_dir, tmp_path / "run", config)
    monkeypatch.chdir(tmp_path)
    load_model_for_generation(result.output_dir, revision=None, precision="fp32")


def test_more_than_one_chat_template_is_published_too(
    data_dir: Path, tiny_llama_dir: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    model_dir = shutil.copytree(tiny_llama_dir, tmp_path / "model")
    (model_dir / "additional_chat_templates").mkdir()
    tools = model_dir / "additional_chat_templates" / "tool_use.jinja"
    shutil.copyfile(model_dir / "chat_template.jinja", tools)
    config = make_config(model_dir, "fine_tuning.training.max_steps=1")
    for _ in range(2):
        result = finetune_model(data_dir, tmp_path / "run", config, overwrite=True)
        assert (result.output_dir / "additional_chat_templates" / "tool_use.jinja").exists()


def test_settings_without_effect_are_told(
    tiny_llama_dir: Path,
    write_task: WriteTask,
    make_config: MakeConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "gemtune")
    data = write_task(tmp_path / "data", n_train=8, n_val=0)
    config = make_config(
        tiny_llama_dir,
        "fine_tuning.revision=main",
        "fine_tuning.training.early_stopping_patience=3",
        "fine_tuning.training.max_steps=1",
    )
    finetune_model(data, tmp_path / "run", config)
    assert [message.partition(" has no effect")[0] for message in caplog.messages] == [
        "fine_tuning.revision",
        "fine_tuning.training.early_stopping_patience",
    ]
