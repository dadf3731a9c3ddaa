"""F6: `evaluate` and `compare` that were killed or stopped at any time end with the same bytes.

Hundreds of kills: python -m pytest -m slow tests/faults/test_stopped_evaluations.py
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from faults.attempts import ForkServer, python_environment
from faults.tally import ALL, Tally, counts, open_tally
from faults.tasks import Task, write_base
from faults.triggers import Action, Trigger

MAX_KILLS_A_RUN = 3
EXIT_CODES: dict[Action, int] = {"terminate": 75, "interrupt": 130}
# The clock, and who was here last.
FREE = {"speed.json", "evaluation.lock"}
PHASES = {
    "reading the test data": Trigger("open", "terminate", path="test.jsonl"),
    "loading a model": Trigger("open", "terminate", path="tokenizer_config.json", count=2),
    "writing the record": Trigger("write", "terminate", path=".evaluation.json"),
    "starting the log": Trigger("write", "terminate", path=".predictions.jsonl"),
    "first token": Trigger("decode", "terminate"),
    "in the middle": Trigger("decode", "terminate", count=30),
    "keeping a block": Trigger("open", "terminate", path="/predictions.jsonl", count=4),
    "noting the time": Trigger("write", "terminate", path=".speed.json", count=3),
    "writing the plan's file": Trigger("write", "terminate", path=".predictions.json."),
    "writing the result": Trigger("write", "terminate", path=".metrics.json", count=2),
}


@dataclass(frozen=True, slots=True)
class Unbroken:
    """A command that nobody disturbed."""

    words: list[str]
    files: dict[str, bytes]
    seconds: float

    def command(self, out: Path) -> list[str]:
        """The same command into another folder."""
        return [*self.words, "--output-dir", str(out)]


@pytest.fixture(scope="module", params=["evaluate", "compare"])
def unbroken(
    request: pytest.FixtureRequest,
    server: ForkServer,
    task: Task,
    tmp_path_factory: pytest.TempPathFactory,
) -> Unbroken:
    """Each command on 24 rows, in several blocks."""
    folder = tmp_path_factory.mktemp(request.param)
    rows = [{"input_text": f"say {i % 9} {'x' * (i % 5)}", "output_text": "red"} for i in range(24)]
    test_data = folder / "test.jsonl"
    test_data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    other = folder / "other"
    write_base(other)
    models = [str(task.model)] if request.param == "evaluate" else [str(task.model), str(other)]
    words = [
        request.param, *models, str(test_data), "evaluation.precision=fp32",
        "evaluation.max_new_tokens=12", "evaluation.batch_tokens=64",
        "evaluation.bootstrap_samples=200",
        *(["--no-report"] if request.param == "compare" else []),
    ]  # fmt: skip
    # The first child fills caches; the second one is timed.
    for name in ("warm", "whole"):
        ending = server.run([*words, "--output-dir", str(folder / name)])
        assert ending.exit_code in (0, 10), ending.text
    return Unbroken(words, read_files(folder / "whole"), ending.seconds)


@counts(quick=4, full=150)
def test_answers_that_were_killed_at_random_times_end_with_the_same_bytes(
    server: ForkServer, unbroken: Unbroken, tmp_path: Path, n: int
) -> None:
    chosen = random.Random(n)
    kills, runs = open_tally(f"F6 SIGKILL of {unbroken.words[0]} at a random time"), 0
    while kills.n_attempts < n:
        runs += 1
        command = unbroken.command(tmp_path / f"run-{runs}")
        moments: list[float] = []
        while len(moments) < MAX_KILLS_A_RUN:
            moment = chosen.uniform(0.0, unbroken.seconds)
            if server.start(command).kill_after(moment).exit_code != -9:
                break
            moments.append(moment)
        ending = server.run(command)
        problems = find_problems(tmp_path / f"run-{runs}", unbroken, ending.exit_code, ending.text)
        for moment in moments:
            kills.count(f"run {runs}, killed after {moment:.3f} s", problems)
    kills.require_all()


@counts(quick=2, full=ALL)
@pytest.mark.parametrize("action", ["terminate", "interrupt"])
def test_a_signal_in_any_phase_leaves_what_the_same_command_goes_on_with(
    server: ForkServer, unbroken: Unbroken, tmp_path: Path, action: Action, n: int
) -> None:
    stops = open_tally(f"F6 {action} in the phases of {unbroken.words[0]}")
    phases = list(PHASES.items())
    if n < len(phases):
        # The two signals meet different phases when only some are tried.
        phases = random.Random(action).sample(phases, n)
    for i, (phase, planned) in enumerate(phases):
        out = tmp_path / str(i)
        stopped = server.run(unbroken.command(out), triggers=[replace(planned, action=action)])
        problems = []
        if stopped.exit_code != EXIT_CODES[action]:
            problems.append(f"exit {stopped.exit_code}: {stopped.text[-300:]}")
        again = server.run(unbroken.command(out))
        stops.count(phase, problems + find_problems(out, unbroken, again.exit_code, again.text))
    stops.require_all()


@counts(quick=1, full=20)
def test_real_processes_that_are_killed_end_with_the_same_bytes(
    unbroken: Unbroken, tmp_path: Path, n: int
) -> None:
    chosen = random.Random(n)
    kills = open_tally(f"F6 SIGKILL of a real process of {unbroken.words[0]}")
    for i in range(n):
        out = tmp_path / f"run-{i}"
        _kill_while_it_answers(unbroken.command(out), out, chosen.uniform(0.0, 0.3))
        again = subprocess.run(
            [sys.executable, "-m", "gemtune", *unbroken.command(out)],
            env=python_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        kills.count(f"kill {i}", find_problems(out, unbroken, again.returncode, again.stderr))
    kills.require_all()


def _kill_while_it_answers(command: Sequence[str], out: Path, seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gemtune", *command], env=python_environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and not list(out.rglob("predictions.jsonl")):
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def find_problems(out: Path, unbroken: Unbroken, exit_code: int, text: str) -> list[str]:
    """What is not as in the unbroken run."""
    if exit_code not in (0, 10):
        return [f"exit {exit_code}: {text[-300:]}"]
    found = read_files(out)
    return [
        f"{name} differs"
        for name in sorted(found.keys() | unbroken.files.keys())
        if found.get(name) != unbroken.files.get(name)
    ]


def read_files(folder: Path) -> dict[str, bytes]:
    """All files by name; the times of both sides taken out of comparison.json."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name not in FREE]
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    if "comparison.json" in found:
        comparison = json.loads(found["comparison.json"])
        comparison["seconds"] = None
        found["comparison.json"] = json.dumps(comparison).encode()
    return found


def test_a_tally_of_another_answer_fails(tmp_path: Path) -> None:
    """The check of the checks."""
    (tmp_path / "predictions.jsonl").write_text("other\n")
    unbroken = Unbroken([], {"predictions.jsonl": b"one\n"}, 1.0)
    tally = Tally("planted")
    tally.count("planted", find_problems(tmp_path, unbroken, 0, ""))
    with pytest.raises(AssertionError, match=r"predictions\.jsonl differs"):
        tally.require_all()
