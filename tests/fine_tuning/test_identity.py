"""What makes a run another run, and what does not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gemtune.config.schema import Config
from gemtune.data.files import find_data_files
from gemtune.fine_tuning.identity import (
    Identity,
    changed_inputs_error,
    describe_identity,
    find_changes,
    is_about_data,
)

MakeConfig = Callable[..., Config]
WriteTask = Callable[..., Path]


@pytest.fixture
def data(write_task: WriteTask, tmp_path: Path) -> Path:
    return write_task(tmp_path / "data")


@pytest.fixture
def model(tiny_llama_dir: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_llama_dir, tmp_path / "model")


def identity(config: Config, data: Path) -> Identity:
    found = describe_identity(config, find_data_files(data))
    return json.loads(json.dumps(found))  # as run.json gives it back


def fields(old: Identity, new: Identity) -> list[str]:
    return [change.field for change in find_changes(old, new)]


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("fine_tuning.training.learning_rate=1e-4", "fine_tuning.training.learning_rate"),
        ("fine_tuning.training.seed=7", "fine_tuning.training.seed"),
        ("fine_tuning.training.epochs=3", "fine_tuning.training.epochs"),
        ("fine_tuning.training.eval_every_steps=3", "fine_tuning.training.eval_every_steps"),
        ("fine_tuning.training.precision=bf16", "fine_tuning.training.precision"),
        (
            "fine_tuning.training.gradient_accumulation_steps=2",
            "fine_tuning.training.batch_size x gradient_accumulation_steps",
        ),
        ("fine_tuning.lora.dropout=0.5", "fine_tuning.lora.dropout"),
        ("data.max_length=99", "data.max_length"),
    ],
)
def test_a_setting_that_moves_numbers_is_a_change(
    override: str, field: str, data: Path, model: Path, make_config: MakeConfig
) -> None:
    changed = identity(make_config(model, override), data)
    assert fields(identity(make_config(model), data), changed) == [field]


@pytest.mark.parametrize(
    "overrides",
    [
        ["fine_tuning.training.batch_size=4", "fine_tuning.training.gradient_accumulation_steps=2"],
        ["fine_tuning.training.save_every_steps=4", "fine_tuning.training.save_every_minutes=1"],
        ["fine_tuning.training.max_skipped_steps=1"],
        ["fine_tuning.training.micro_batch_tokens=100"],
        ["project.name=other", "monitoring.tensorboard=false", "evaluation.seed=1"],
    ],
)
def test_a_setting_that_moves_no_number_is_none(
    overrides: list[str], data: Path, model: Path, make_config: MakeConfig
) -> None:
    same = identity(make_config(model, *overrides), data)
    assert fields(identity(make_config(model), data), same) == []


@pytest.mark.parametrize(
    ("name", "field"),
    [("train.jsonl", "data.train"), ("val.jsonl", "data.val"), ("test.jsonl", "")],
)
def test_one_byte_of_the_data_is_a_change_unless_it_is_only_tested_on(
    name: str, field: str, data: Path, model: Path, make_config: MakeConfig
) -> None:
    before = identity(make_config(model), data)
    with (data / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    changes = find_changes(before, identity(make_config(model), data))
    assert [change.field for change in changes] == ([field] if field else [])
    assert all(map(is_about_data, changes))


def test_validation_data_that_is_gone_is_a_change(
    data: Path, model: Path, make_config: MakeConfig
) -> None:
    before = identity(make_config(model), data)
    (data / "val.jsonl").unlink()
    (change,) = find_changes(before, identity(make_config(model), data))
    assert str(change).startswith("data.val: ")
    assert str(change).endswith("... -> nothing")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("model.safetensors", "base.model.safetensors"),
        ("config.json", "base.config.json"),
        ("tokenizer.json", "tokenizer.tokenizer.json"),
        ("chat_template.jinja", "tokenizer.chat_template.jinja"),
        ("additional_chat_templates/tool.jinja", "tokenizer.additional_chat_templates/tool.jinja"),
    ],
)
def test_another_base_or_tokenizer_is_a_change(
    name: str, field: str, data: Path, model: Path, make_config: MakeConfig
) -> None:
    before = identity(make_config(model), data)
    (model / name).parent.mkdir(exist_ok=True)
    with (model / name).open("ab") as file:
        file.write(b" ")
    changes = find_changes(before, identity(make_config(model), data))
    assert [change.field for change in changes] == [field]
    assert not is_about_data(changes[0])


def test_the_same_base_in_another_folder_is_none(
    data: Path, model: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    before = identity(make_config(model), data)
    moved = model.rename(tmp_path / "moved")
    assert fields(before, identity(make_config(moved), data)) == []


def test_a_setting_of_another_version_of_gemtune_is_none(
    data: Path, model: Path, make_config: MakeConfig
) -> None:
    now = identity(make_config(model), data)
    settings = {**now["settings"], "fine_tuning.lora.of_old": 1}
    del settings["fine_tuning.lora.r"]
    before = {**now, "settings": settings}
    assert fields(before, now) == []


def test_the_refusal_names_the_field_old_and_new_and_the_ways_out(
    data: Path, model: Path, make_config: MakeConfig
) -> None:
    before = identity(make_config(model), data)
    changed = make_config(model, "fine_tuning.training.seed=7")
    error = changed_inputs_error(Path("run"), find_changes(before, identity(changed, data)))
    assert str(error).endswith("fine_tuning.training.seed: 42 -> 7")
    assert "--overwrite" in error.fix
    assert "--allow-changed-data" not in error.fix
    (data / "train.jsonl").write_text("{}")
    error = changed_inputs_error(
        Path("run"), find_changes(before, identity(make_config(model), data))
    )
    assert "--allow-changed-data" in error.fix
