"""F5: SIGTERM and Ctrl-C in every phase end with a durable state; the same command goes on."""

import json
import random
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from faults.attempts import Ending, ForkServer
from faults.choosing import spread
from faults.finished_runs import find_differences, find_remains
from faults.tally import ALL, counts, open_tally
from faults.tasks import Reference, Task
from faults.triggers import Action, Trigger

SIGNALS = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT}
EXIT_CODES = {"terminate": 75, "interrupt": 130}
AT_ONCE = {"terminate": 143, "interrupt": 130}
MAX_SECONDS = 25.0
MAX_STOPS_A_RUN = 3
PHASES: dict[str, Trigger] = {
    "reading data": Trigger("open", "terminate", path="train.jsonl"),
    "reading the tokenizer": Trigger("open", "terminate", path="tokenizer.json"),
    "loading the model": Trigger("open", "terminate", path="model.safetensors"),
    "first validation": Trigger("validation", "terminate", above_tokens=8),
    "first micro-batch": Trigger("micro-batch", "terminate"),
    "middle of a step": Trigger("micro-batch", "terminate", count=8),
    "backward pass": Trigger("backward", "terminate", count=100),
    "validation in between": Trigger("validation", "terminate", count=4, above_tokens=8),
    "first save": Trigger("open", "terminate", path="/checkpoints/.tmp-00000003"),
    "end of a save": Trigger("write", "terminate", count=14, path="/checkpoints/.tmp-00000006"),
    "rotation": Trigger("write", "terminate", path=".del-"),
    "last step": Trigger("open", "terminate", path="/checkpoints/.tmp-00000014"),
    "publishing": Trigger("write", "terminate", path="/run/.adapter_model.safetensors"),
    "last record": Trigger("write", "terminate", count=3, path="/run/.run.json"),
}


@counts(quick=4, full=ALL)
@pytest.mark.parametrize("action", ["terminate", "interrupt"])
def test_a_signal_in_any_phase_ends_in_a_state_from_which_the_run_goes_on(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, action: Action, n: int
) -> None:
    stops = open_tally(f"F5 {SIGNALS[action].name} in the phases of a run")
    # The two signals meet different phases when only some are tried.
    phases = spread(list(PHASES.items()), n) if action == "terminate" else _others(n)
    for i, (phase, planned) in enumerate(phases):
        run_dir = tmp_path / str(i) / "run"
        trigger = replace(planned, action=action)
        ending = server.run(task.finetune(run_dir), triggers=[trigger])
        problems = _problems_of_stop(ending, run_dir, EXIT_CODES[action])
        resumed = server.run(task.finetune(run_dir))
        stops.count(phase, problems + _problems_of_end(resumed, run_dir, reference))
    stops.require_all()


@counts(quick=4, full=50)
def test_runs_that_were_stopped_at_random_times_end_with_the_same_bytes(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, n: int
) -> None:
    chosen = random.Random(n)
    stops, runs = open_tally("F5 SIGTERM at a random time"), 0
    while stops.n_attempts < n:
        runs += 1
        run_dir = tmp_path / f"run-{runs}"
        told: dict[float, list[str]] = {}
        for _ in range(MAX_STOPS_A_RUN):
            moment = chosen.uniform(0.0, reference.seconds)
            ending = server.start(task.finetune(run_dir)).kill_after(moment, signal.SIGTERM)
            if ending.exit_code == 0:
                break
            told[moment] = _problems_of_stop(ending, run_dir, EXIT_CODES["terminate"])
        problems_of_end = _problems_of_end(server.run(task.finetune(run_dir)), run_dir, reference)
        for moment, problems in told.items():
            stops.count(f"run {runs}, stopped after {moment:.3f} s", problems + problems_of_end)
    stops.require_all()


@pytest.mark.parametrize("action", ["terminate", "interrupt"])
def test_a_second_signal_ends_the_process_at_once(
    server: ForkServer, task: Task, reference: Reference, tmp_path: Path, action: Action
) -> None:
    stops = open_tally(f"F5 second {SIGNALS[action].name} while the first one is answered")
    for count in (1, 9):
        run_dir = tmp_path / str(count)
        first = Trigger("write", action, count=count, path="/checkpoints/.tmp-00000006")
        pause = replace(first, action="pause", count=count + 1)
        second = replace(first, count=count + 2)
        ending = server.run(task.finetune(run_dir), triggers=[first, pause, second])
        problems = []
        if ending.exit_code != AT_ONCE[action]:
            problems = [
                f"exit {ending.exit_code} instead of {AT_ONCE[action]}: {ending.text[-200:]}"
            ]
        resumed = server.run(task.finetune(run_dir))
        stops.count(f"call {count}", problems + _problems_of_end(resumed, run_dir, reference))
    stops.require_all()


def test_a_stopped_evaluation_can_be_run_again(
    server: ForkServer, task: Task, tmp_path: Path
) -> None:
    stops = open_tally("F5 SIGTERM while generating answers")
    command = ["evaluate", str(task.model), str(task.data / "test.jsonl"), "--output-dir"]
    whole = server.run([*command, str(tmp_path / "whole")])
    assert whole.exit_code == 0, whole.text
    for count in (1, 3, 6):
        out = tmp_path / f"out-{count}"
        trigger = Trigger("decode", "terminate", count=count)
        stopped = server.run([*command, str(out)], triggers=[trigger])
        again = server.run([*command, str(out)])
        problems = [] if stopped.exit_code == 75 else [f"exit {stopped.exit_code}: {stopped.text}"]
        if again.exit_code:
            problems.append(f"again: exit {again.exit_code}: {again.text}")
        elif _predictions(out) != _predictions(tmp_path / "whole"):
            problems.append("other answers")
        stops.count(f"token {count}", problems)
    stops.require_all()


def _others(n: int) -> list[tuple[str, Trigger]]:
    return spread(list(PHASES.items())[2:] + list(PHASES.items())[:2], n)


def _problems_of_stop(ending: Ending, run_dir: Path, exit_code: int) -> list[str]:
    problems = []
    if ending.exit_code != exit_code:
        problems.append(f"exit {ending.exit_code} instead of {exit_code}: {ending.text[-300:]}")
    if ending.seconds > MAX_SECONDS:
        problems.append(f"took {ending.seconds:.1f} s")
    if "Traceback" in ending.text:
        problems.append("a traceback")
    if run_dir.exists():
        problems += [f"{path.name} was left" for path in find_remains(run_dir)]
        n_logged, n_saved = _last_logged_step(run_dir), _last_saved_step(run_dir)
        if n_saved < n_logged:
            problems.append(f"step {n_logged} was done, but {n_saved} is the last one saved")
    return problems


def _problems_of_end(ending: Ending, run_dir: Path, reference: Reference) -> list[str]:
    if ending.exit_code:
        return [f"resume: exit {ending.exit_code}: {ending.text[-300:]}"]
    return find_differences(run_dir, reference.leftovers)


def _last_logged_step(run_dir: Path) -> int:
    log = run_dir / "metrics.jsonl"
    if not log.exists():
        return 0
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return max((record["step"] for record in records), default=0)


def _last_saved_step(run_dir: Path) -> int:
    names = [path.name for path in run_dir.glob("checkpoints/step-*")]
    return max((int(re.sub("[^0-9]", "", name)) for name in names), default=0)


def _predictions(folder: Path) -> bytes:
    return next(folder.glob("predictions.jsonl")).read_bytes()
