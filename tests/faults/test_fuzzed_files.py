"""F13: files that somebody or something has changed end in words, soon, and with little memory."""

import shutil
import struct
from pathlib import Path

import pytest
from faults.attempts import Ending, ForkServer
from faults.fuzzing import BAD, FuzzPlan
from faults.tally import open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger

# Most of it is torch, which the child has from its parent.
MAX_MEMORY_MIB = 900.0
QUICK_SECONDS, FULL_SECONDS = 0.6, 480.0

seconds = pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(QUICK_SECONDS, id="quick"),
        pytest.param(FULL_SECONDS, id="full", marks=pytest.mark.slow),
    ],
)


@seconds
def test_a_fuzzed_config_ends_in_words(
    server: ForkServer, task: Task, tmp_path: Path, seconds: float
) -> None:
    for sample in (task.config, Path(__file__).parents[2] / "config" / "default.yaml"):
        target = tmp_path / f"fuzzed-{sample.name}"
        plan = _plan(["config", "check", str(target)], target, sample, seconds / 2)
        _require_words(f"F13 config {sample.name}", server.run([], fuzz=plan))


@seconds
def test_fuzzed_data_ends_in_words(
    server: ForkServer, task: Task, tmp_path: Path, seconds: float
) -> None:
    target = tmp_path / "train.jsonl"
    command = ["data", "check", str(target), "--no-tokens"]
    plan = _plan(command, target, task.data / "train.jsonl", seconds)
    _require_words("F13 data", server.run([], fuzz=plan))


@seconds
@pytest.mark.parametrize(
    "name", ["manifest.json", "state.json", "training_state.safetensors", "metrics.jsonl"]
)
def test_a_fuzzed_checkpoint_is_told_by_verify(
    server: ForkServer, reference: Reference, tmp_path: Path, name: str, seconds: float
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(reference.run_dir, folder)
    target = folder / "checkpoints" / "step-00000014" / name
    shutil.copyfile(target, sample := tmp_path / name)
    plan = _plan(["verify", str(folder)], target, sample, seconds / 2)
    _require_words(f"F13 checkpoint, {name}", server.run([], fuzz=plan))


@seconds
@pytest.mark.parametrize("name", ["run.json", "config.resolved.json", "metrics.jsonl", "run.lock"])
def test_a_run_with_a_fuzzed_record_is_resumed_or_refused(
    server: ForkServer, task: Task, tmp_path: Path, name: str, seconds: float
) -> None:
    stopped, run_dir = tmp_path / "stopped", tmp_path / "run"
    trigger = Trigger("open", "kill", path="/checkpoints/.tmp-00000014")
    server.run(task.finetune(stopped), triggers=[trigger])
    plan = FuzzPlan(
        task.finetune(run_dir),
        target=str(run_dir / name),
        sample=str(stopped / name),
        seconds=seconds,
        seed=1,
        restored=str(run_dir),
        restored_from=str(stopped),
    )
    _require_words(f"F13 resume with a changed {name}", server.run([], fuzz=plan))


@seconds
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja"])
def test_a_base_with_a_fuzzed_file_is_used_or_refused(
    server: ForkServer, task: Task, tmp_path: Path, name: str, seconds: float
) -> None:
    base = tmp_path / "base"
    shutil.copytree(task.model, base)
    plan = _plan(_evaluation(task, base), base / name, task.model / name, seconds)
    _require_words(f"F13 base, {name}", server.run([], fuzz=plan))


@seconds
def test_a_base_with_a_fuzzed_header_of_its_weights_is_used_or_refused(
    server: ForkServer, task: Task, tmp_path: Path, seconds: float
) -> None:
    base, name = tmp_path / "base", "model.safetensors"
    shutil.copytree(task.model, base)
    sample = task.model / name
    (n_header,) = struct.unpack("<Q", sample.read_bytes()[:8])
    plan = _plan(_evaluation(task, base), base / name, sample, seconds, first_bytes=8 + n_header)
    _require_words("F13 base, header of model.safetensors", server.run([], fuzz=plan))


@seconds
def test_a_fuzzed_gguf_header_is_refused(
    server: ForkServer, task: Task, tiny_gguf: Path, tmp_path: Path, seconds: float
) -> None:
    target = tmp_path / "model.gguf"
    plan = _plan(_evaluation(task, target), target, tiny_gguf, seconds, first_bytes=2000)
    _require_words("F13 GGUF header", server.run([], fuzz=plan))


def _evaluation(task: Task, model: Path) -> list[str]:
    test = task.data / "test.jsonl"
    return ["evaluate", str(model), str(test), "evaluation.max_new_tokens=1"]


def _plan(
    arguments: list[str],
    target: Path,
    sample: Path,
    seconds: float,
    first_bytes: int | None = None,
) -> FuzzPlan:
    return FuzzPlan(arguments, str(target), str(sample), seconds, 1, first_bytes)


def _require_words(what: str, ending: Ending) -> None:
    tries = open_tally(what)
    lines = ending.text.splitlines()
    n_tries = next((int(line.split()[1]) for line in lines if line.startswith("FUZZ ")), 0)
    tries.n_attempts = n_tries
    tries.failures += [line for line in lines if line.startswith(BAD)]
    if ending.exit_code:
        tries.failures.append(f"exit {ending.exit_code}, a hang: {ending.text[-1500:]}")
    if ending.peak_memory_mib > MAX_MEMORY_MIB:
        tries.failures.append(f"took {ending.peak_memory_mib:.0f} MiB")
    tries.require_all()
