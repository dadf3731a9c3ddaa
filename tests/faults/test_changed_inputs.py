"""F9: a run is resumed with other inputs than it was started with."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.attempts import ForkServer
from faults.finished_runs import find_differences, read_record
from faults.tally import open_tally
from faults.tasks import Reference, Task, make_task
from faults.triggers import Trigger

EXIT_INCOMPATIBLE = 4
TRAINING = "fine_tuning.training"


@pytest.fixture
def own_task(tmp_path: Path) -> Task:
    """One whose files a test may change."""
    folder = tmp_path / "task"
    folder.mkdir()
    return make_task(folder)


@pytest.fixture
def stopped_run(server: ForkServer, own_task: Task, tmp_path: Path) -> Path:
    """A run of `own_task` that was killed after its second checkpoint."""
    run_dir = tmp_path / "run"
    trigger = Trigger("open", "kill", path="/checkpoints/.tmp-00000009")
    assert server.run(own_task.finetune(run_dir), triggers=[trigger]).exit_code == -9
    return run_dir


def _lines(task: Task) -> list[str]:
    return (task.data / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)


def _write_lines(task: Task, lines: list[str], name: str = "train") -> None:
    (task.data / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _change_tokenizer(task: Task) -> None:
    path = task.model / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def _change_template(task: Task) -> None:
    path = task.model / "chat_template.jinja"
    path.write_text(path.read_text(encoding="utf-8").replace("end|>\n", "end|>"))


def _flip_weight(task: Task) -> None:
    path = task.model / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


# What is changed, and a word that the refusal must hold.
FILES: dict[str, tuple[Callable[[Task], None], str]] = {
    "a row less": (lambda task: _write_lines(task, _lines(task)[:-1]), "train"),
    "two rows swapped": (lambda task: _write_lines(task, _lines(task)[::-1]), "train"),
    "one byte": (
        lambda task: _write_lines(task, [_lines(task)[0].replace("?", "!"), *_lines(task)[1:]]),
        "train",
    ),
    "validation data": (lambda task: _write_lines(task, _lines(task)[:9], "val"), "val"),
    "no validation data": (lambda task: (task.data / "val.jsonl").unlink(), "val"),
    "tokenizer": (_change_tokenizer, "tokenizer"),
    "chat template": (_change_template, "chat_template"),
    "a bit of the base": (_flip_weight, "model"),
}
# What is changed, a word and a number that the refusal must hold.
SETTINGS = {
    f"{TRAINING}.learning_rate=3e-2": ("learning_rate", 3e-2),
    f"{TRAINING}.gradient_accumulation_steps=3": ("gradient_accumulation_steps", 12),
    f"{TRAINING}.batch_size=3": ("batch_size", 6),
    f"{TRAINING}.seed=43": ("seed", 43),
    f"{TRAINING}.max_steps=15": ("max_steps", 15),
    f"{TRAINING}.weight_decay=0.02": ("weight_decay", 0.02),
    "fine_tuning.lora.r=8": ("lora.r", 8),
    "fine_tuning.lora.dropout=0.2": ("lora.dropout", 0.2),
    "data.max_length=32": ("max_length", 32),
}
FREE = [
    "project.name=other",
    "monitoring.log_every_steps=1",
    f"{TRAINING}.save_every_minutes=500",
    "evaluation.max_new_tokens=5",
]


def test_other_files_are_refused_and_the_run_goes_on_with_the_old_ones(
    server: ForkServer, own_task: Task, stopped_run: Path, reference: Reference, tmp_path: Path
) -> None:
    changed = open_tally("F9 resumed with changed files: refused, named, unharmed")
    for i, (what, (change, word)) in enumerate(FILES.items()):
        run_dir = tmp_path / f"run-{i}"
        shutil.copytree(stopped_run, run_dir)
        saved = tmp_path / f"saved-{i}"
        shutil.copytree(own_task.folder, saved)
        change(own_task)
        refused = server.run(own_task.finetune(run_dir))
        shutil.rmtree(own_task.folder)
        saved.rename(own_task.folder)
        problems = []
        if refused.exit_code != EXIT_INCOMPATIBLE or word not in refused.text:
            problems = [f"exit {refused.exit_code}: {refused.text[-300:]}"]
        again = server.run(own_task.finetune(run_dir))
        problems += [f"again: exit {again.exit_code}: {again.text[-300:]}"] * bool(again.exit_code)
        changed.count(what, problems + _weights_differ(run_dir, reference))
    changed.require_all()


def test_settings_that_move_numbers_are_refused_with_old_and_new(
    server: ForkServer, own_task: Task, stopped_run: Path
) -> None:
    changed = open_tally("F9 resumed with changed settings: refused, old and new named")
    for setting, (word, new) in SETTINGS.items():
        refused = server.run(own_task.finetune(stopped_run, setting))
        problems = []
        if refused.exit_code != EXIT_INCOMPATIBLE:
            problems = [f"exit {refused.exit_code}: {refused.text[-300:]}"]
        if word not in refused.text or not _shows(new, refused.text):
            problems.append(f"does not name the field and the new value: {refused.text[-300:]}")
        changed.count(setting, problems)
    changed.require_all()


def test_settings_that_move_no_number_may_change(
    server: ForkServer, own_task: Task, stopped_run: Path, reference: Reference
) -> None:
    ending = server.run(own_task.finetune(stopped_run, *FREE))
    assert ending.exit_code == 0, ending.text
    assert _weights_differ(stopped_run, reference) == []


def test_another_number_of_threads_is_a_warning(
    server: ForkServer, own_task: Task, stopped_run: Path
) -> None:
    ending = server.run(own_task.finetune(stopped_run), n_threads=2)
    assert ending.exit_code == 0, ending.text
    assert "thread" in ending.text
    assert "thread" in json.dumps(read_record(stopped_run)["events"])


def test_another_version_of_a_library_is_a_warning(
    server: ForkServer, own_task: Task, stopped_run: Path
) -> None:
    ending = server.run(own_task.finetune(stopped_run), versions={"torch": "1.2.3"})
    assert ending.exit_code == 0, ending.text
    assert "1.2.3" in ending.text
    assert "1.2.3" in json.dumps(read_record(stopped_run)["events"])


def test_changed_data_can_be_allowed_and_is_recorded(
    server: ForkServer, own_task: Task, stopped_run: Path
) -> None:
    _write_lines(own_task, _lines(own_task)[:-1])
    ending = server.run(own_task.finetune(stopped_run, "--allow-changed-data"))
    assert ending.exit_code == 0, ending.text
    assert "data" in json.dumps(read_record(stopped_run)["events"])


def _weights_differ(run_dir: Path, reference: Reference) -> list[str]:
    """The base has another path here, so that the configs beside the weights differ."""
    names = [line for line in find_differences(run_dir, reference.leftovers) if "metrics" in line]
    mine, theirs = (each / "adapter_model.safetensors" for each in (run_dir, reference.run_dir))
    if not mine.exists() or mine.read_bytes() != theirs.read_bytes():
        names.append("the weights differ")
    return names


def _shows(value: float, text: str) -> bool:
    """The number, however it is written."""
    words = text.replace(",", " ").replace(";", " ").split()
    return any(_as_number(word) == value for word in words)


def _as_number(word: str) -> float | None:
    try:
        return float(word.strip(".:()'`"))
    except ValueError:
        return None
