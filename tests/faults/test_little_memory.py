"""F8: the allocator refuses; the same step is done in smaller parts, or the run ends saying so."""

import json
from pathlib import Path

import pytest
import torch
from faults.attempts import Ending, ForkServer
from faults.choosing import spread
from faults.finished_runs import find_differences, find_not_finite, find_remains, read_record
from faults.tally import ALL, counts, open_tally
from faults.tasks import Reference, Task
from faults.triggers import Trigger
from safetensors.torch import load_file

EXIT_RESOURCES = 6
# Dropout masks depend on how a step is cut, and large steps amplify its rounding.
SMOOTH = ("fine_tuning.lora.dropout=0", "fine_tuning.training.learning_rate=1e-3")
# A batch of the task has up to 240 padded tokens, its longest row 40.
REFUSED = {
    "from the start": Trigger("micro-batch", "oom", above_tokens=100, repeat=True),
    "from a middle step on": Trigger("micro-batch", "oom", above_tokens=100, count=12, repeat=True),
    "once": Trigger("micro-batch", "oom", above_tokens=100, count=9),
    "in the backward pass": Trigger("backward", "oom", count=150),
    "in the first validation": Trigger("validation", "oom", above_tokens=100, repeat=True),
    "in a later validation": Trigger("validation", "oom", above_tokens=100, count=5),
}


@pytest.fixture(scope="session")
def smooth_run(server: ForkServer, task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the runs with little memory must come close to."""
    run_dir = tmp_path_factory.mktemp("enough") / "run"
    ending = server.run(task.finetune(run_dir, *SMOOTH))
    assert ending.exit_code == 0, ending.text
    return run_dir


@counts(quick=3, full=ALL)
def test_a_refusing_allocator_changes_the_parts_of_a_step_and_nothing_else(
    server: ForkServer, task: Task, smooth_run: Path, tmp_path: Path, n: int
) -> None:
    refused = open_tally("F8 allocator refuses large micro-batches, effective batch kept")
    for i, (when, trigger) in enumerate(spread(list(REFUSED.items()), n)):
        run_dir = tmp_path / f"run-{i}"
        ending = server.run(task.finetune(run_dir, *SMOOTH), triggers=[trigger])
        if ending.exit_code:
            problems = [f"exit {ending.exit_code}: {ending.text[-300:]}"]
        else:
            problems = [*_compare(run_dir, smooth_run), *_not_told(ending, run_dir)]
        refused.count(when, problems)
    refused.require_all()


@counts(quick=1, full=3)
def test_a_kill_after_the_parts_became_smaller_changes_no_byte(
    server: ForkServer, task: Task, tmp_path: Path, n: int
) -> None:
    """The smaller size is part of the state: the resumed run must not try the large one again."""
    killed = open_tally("F8 kill after the micro-batches became smaller, bitwise equal")
    refusing = Trigger("micro-batch", "oom", above_tokens=100, count=3)
    whole = tmp_path / "whole"
    ending = server.run(task.finetune(whole), triggers=[refusing])
    assert ending.exit_code == 0, ending.text
    for step in spread([6, 9, 12], n):
        run_dir = tmp_path / f"killed-{step}"
        kill = Trigger("open", "kill", path=f"/checkpoints/step-{step:08d}")
        later = Trigger("open", "kill", path=f"/checkpoints/.tmp-{step + 3:08d}")
        server.run(task.finetune(run_dir), triggers=[refusing, kill, later])
        ending = server.run(task.finetune(run_dir))
        problems = [f"exit {ending.exit_code}"] if ending.exit_code else _compare(run_dir, whole, 0)
        killed.count(f"around step {step}", problems)
    killed.require_all()


def test_a_row_that_alone_does_not_fit_ends_the_run_and_says_what_was_tried(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path
) -> None:
    for event in ("micro-batch", "validation"):
        run_dir = tmp_path / event
        trigger = Trigger(event, "oom", count=3, above_tokens=8, repeat=True)
        ending = server.run(task.finetune(run_dir), triggers=[trigger])
        assert ending.exit_code == EXIT_RESOURCES, ending.text
        assert "tokens" in ending.text.partition("error:")[2]
        assert "Traceback" not in ending.text
        assert find_remains(run_dir) == []
        assert server.run(task.finetune(run_dir)).exit_code == 0


@counts(quick=2, full=20)
def test_a_limit_on_the_address_space_ends_the_run_cleanly_or_not_at_all(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    limited = open_tally("F8 real limit on memory (RLIMIT_AS), then without")
    for i in range(n):
        run_dir = tmp_path / f"run-{i}"
        ending = server.run(task.finetune(run_dir), extra_memory_mib=2 + 60 * i // n)
        problems = []
        if ending.exit_code not in (0, EXIT_RESOURCES):
            problems = [f"exit {ending.exit_code}: {ending.text[-300:]}"]
        if not _was_cut(run_dir):
            again = server.run(task.finetune(run_dir))
            problems += [f"again: exit {again.exit_code}"] if again.exit_code else []
            problems += find_differences(run_dir, reference.leftovers)
        limited.count(f"{2 + 60 * i // n} MiB", problems)
    limited.require_all()


def test_an_evaluation_that_runs_out_of_memory_says_so(
    server: ForkServer, task: Task, tmp_path: Path
) -> None:
    command = ["evaluate", str(task.model), str(task.data / "test.jsonl")]
    ending = server.run(command, triggers=[Trigger("decode", "oom", count=3, repeat=True)])
    assert ending.exit_code == EXIT_RESOURCES, ending.text
    assert "Traceback" not in ending.text


def _compare(run_dir: Path, whole: Path, tolerance: float = 1e-5) -> list[str]:
    """Same steps, same tokens, weights and losses within `tolerance` (relative; 0: same bytes)."""
    problems = find_not_finite(run_dir)
    found, wanted = (load_file(each / "adapter_model.safetensors") for each in (run_dir, whole))
    for name, weight in wanted.items():
        error = torch.linalg.vector_norm(found[name] - weight)
        if error > tolerance * torch.linalg.vector_norm(weight):
            problems.append(f"{name} differs by {error.item():.1e}")
    for mine_line, line in zip(_records(run_dir), _records(whole), strict=True):
        for key in ("step", "train/step_tokens", "train/loss", "eval/loss"):
            mine, expected = mine_line.get(key, 0.0), line.get(key, 0.0)
            if mine != pytest.approx(expected, rel=tolerance, abs=0.0):
                problems.append(f"{key} {mine} instead of {expected}")
    return problems


def _not_told(ending: Ending, run_dir: Path) -> list[str]:
    problems = [] if "memory" in ending.text else ["the log does not tell"]
    return problems if _was_cut(run_dir) else [*problems, "run.json does not tell"]


def _was_cut(run_dir: Path) -> bool:
    if not (run_dir / "run.json").exists():
        return False
    return "memory" in json.dumps(read_record(run_dir).get("events", []))


def _records(run_dir: Path) -> list[dict[str, float]]:
    text = (run_dir / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
