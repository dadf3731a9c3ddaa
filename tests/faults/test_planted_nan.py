"""F7: what is not finite ends the run in that step; it is never shown, saved or published."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from faults.attempts import Ending, ForkServer
from faults.choosing import spread
from faults.finished_runs import find_differences, find_not_finite, read_record
from faults.tally import ALL, counts, open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger
from safetensors.torch import load_file, save_file

EXIT_NOT_FINITE = 5
# Before a run the model is tried on a few tokens.
PROBE_TOKENS = 8
PLANTED = {
    "loss of the first micro-batch": Trigger("micro-batch", "nan"),
    "loss of a middle micro-batch": Trigger("micro-batch", "nan", count=15),
    "one gradient of the first step": Trigger("backward", "nan gradient"),
    "one gradient in the middle": Trigger("backward", "nan gradient", count=300),
    "first validation loss": Trigger("validation", "nan", above_tokens=PROBE_TOKENS),
    "later validation loss": Trigger("validation", "nan", count=4, above_tokens=PROBE_TOKENS),
}


@pytest.fixture(scope="session")
def n_micro_batches(
    server: ForkServer, task: Task, tmp_path_factory: pytest.TempPathFactory
) -> int:
    """How many micro-batches the unbroken run has."""
    folder = tmp_path_factory.mktemp("counted")
    looking = Trigger("micro-batch", "kill", trace=str(folder / "trace.txt"))
    ending = server.run(task.finetune(folder / "run"), triggers=[looking])
    assert ending.exit_code == 0, ending.text
    return len((folder / "trace.txt").read_text(encoding="utf-8").splitlines())


@counts(quick=4, full=ALL)
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_a_planted_nan_ends_the_run_in_its_step(
    server: ForkServer,
    task: Task,
    reference: Reference,
    tmp_path: Path,
    n_micro_batches: int,
    precision: str,
    n: int,
) -> None:
    planted = open_tally(f"F7 NaN in a loss or gradient, {precision}")
    last = Trigger("micro-batch", "nan", count=n_micro_batches)
    command = f"fine_tuning.training.precision={precision}"
    for i, (what, trigger) in enumerate(
        spread([*PLANTED.items(), ("the last micro-batch", last)], n)
    ):
        run_dir = tmp_path / f"run-{i}"
        ending = server.run(task.finetune(run_dir, command), triggers=[trigger])
        problems = _problems_of_end(ending, run_dir)
        if "validation" not in what:
            problems += _problems_of_step(ending, run_dir)
        if precision == "fp32":
            again = server.run(task.finetune(run_dir, command))
            problems += [f"exit {again.exit_code}"] if again.exit_code else []
            problems += find_differences(run_dir, reference.leftovers)
        planted.count(what, problems)
    planted.require_all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_base_with_a_weight_that_is_not_finite_trains_nothing(
    server: ForkServer, task: Task, tmp_path: Path, value: float
) -> None:
    base = tmp_path / "base"
    shutil.copytree(task.model, base)
    weights = load_file(base / "model.safetensors")
    name = next(name for name in weights if "layers.1" in name)
    weights[name].view(-1)[3] = value
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    command = task.finetune(tmp_path / "run", f"fine_tuning.model={base}")
    broken = open_tally(f"F7 base model with a weight that is {value}")
    broken.count("start", _problems_of_end(server.run(command), tmp_path / "run"))
    broken.require_all()


@pytest.mark.parametrize(
    ("learning_rate", "n_steps"), [("1e30", 14), ("1e38", 14), ("3e38", 1), ("1e38", 1)]
)
@pytest.mark.parametrize("with_val", [True, False])
def test_a_learning_rate_that_blows_up_publishes_nothing_that_is_not_finite(
    server: ForkServer,
    task: Task,
    tmp_path: Path,
    learning_rate: str,
    n_steps: int,
    with_val: bool,
) -> None:
    """With one step and no validation nothing but the weights themselves can show it."""
    blown = open_tally(f"F7 learning rate {learning_rate}, {n_steps} steps, val {with_val}")
    data, run_dir = tmp_path / "data", tmp_path / "run"
    shutil.copytree(task.data, data)
    if not with_val:
        (data / "val.jsonl").unlink()
    command = [
        "finetune",
        str(data),
        str(run_dir),
        "--config-path",
        str(task.config),
        f"fine_tuning.training.learning_rate={learning_rate}",
        f"fine_tuning.training.max_steps={n_steps}",
        "fine_tuning.training.warmup_ratio=0",
        "fine_tuning.training.lr_scheduler=constant",
    ]
    ending = server.run(command)
    problems = find_not_finite(run_dir)
    if ending.exit_code not in (0, EXIT_NOT_FINITE):
        problems.append(f"exit {ending.exit_code}: {ending.text[-300:]}")
    if ending.exit_code == 0 and n_steps > 1:
        problems.append("the run went on")
    blown.count("run", problems)
    blown.require_all()


def test_skipped_steps_are_counted_and_the_run_is_marked(
    server: ForkServer, task: Task, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    command = task.finetune(run_dir, "fine_tuning.training.max_skipped_steps=1")
    once = server.run(command, triggers=[PLANTED["loss of a middle micro-batch"]])
    assert once.exit_code == 0, once.text
    assert find_not_finite(run_dir) == []
    assert "skip" in once.text
    assert "skip" in json.dumps(read_record(run_dir))
    twice = [
        Trigger("micro-batch", "nan", count=5),
        Trigger("micro-batch", "nan", count=20),
    ]
    command = task.finetune(tmp_path / "twice", "fine_tuning.training.max_skipped_steps=1")
    stopped = server.run(command, triggers=twice)
    assert _problems_of_end(stopped, tmp_path / "twice") == []


def _problems_of_end(ending: Ending, run_dir: Path) -> list[str]:
    problems = []
    if ending.exit_code != EXIT_NOT_FINITE:
        problems.append(f"exit {ending.exit_code}: {ending.text[-300:]}")
    if re.search(r"loss (nan|inf|0\.0+\b)", ending.text):
        problems.append("shown as a loss")
    if (run_dir / "adapter_model.safetensors").exists():
        problems.append("an adapter was published")
    return problems + find_not_finite(run_dir)


def _problems_of_step(ending: Ending, run_dir: Path) -> list[str]:
    """The step and its rows are named; the one before was the last that was logged."""
    named = re.search(r"step (\d+)[^/\d]", ending.text.partition("error:")[2])
    if named is None:
        return ["no step is named"]
    log = (run_dir / "metrics.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in log.splitlines()]
    last = max((each["step"] for each in records if each["kind"] == "train"), default=0)
    problems = [] if last == int(named[1]) - 1 else [f"step {named[1]} named, {last} logged"]
    return problems if "train.jsonl" in ending.text or "rows" in ending.text else ["no rows named"]


def test_the_search_for_values_that_are_not_finite_finds_them(tmp_path: Path) -> None:
    """What the other tests of this file believe in."""
    save_file({"weight": torch.tensor([1.0, float("nan")])}, tmp_path / "a.safetensors")
    (tmp_path / "b.json").write_text('{"loss": NaN}', encoding="utf-8")
    (tmp_path / "c.jsonl").write_text('{"loss": 1.0}\n{"loss": 1e999}\n', encoding="utf-8")
    assert len(find_not_finite(tmp_path)) == 3
