"""metrics.jsonl and its listeners."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gemtune.monitoring.recorder import Kind, open_recorder


class _Memory:
    def __init__(self) -> None:
        self.records: list[tuple[Kind, int, Mapping[str, float]]] = []
        self.n_closed = 0

    def log(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        self.records.append((kind, step, values))

    def close(self) -> None:
        self.n_closed += 1


class _Broken:
    def log(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        raise OSError("no space left")

    def close(self) -> None:
        raise OSError("still no space left")


def _records(run_dir: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    text = (run_dir / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_what_was_computed_and_what_the_clock_says_are_a_line_each_in_two_files(
    tmp_path: Path,
) -> None:
    with open_recorder(tmp_path) as recorder:
        recorder.log("train", 3, {"train/loss": 1.5}, {"train/step_seconds": 0.5})
        recorder.log("eval", 3, {"eval/loss": 2.5})
    assert _records(tmp_path) == [
        {"kind": "train", "step": 3, "train/loss": 1.5},
        {"kind": "eval", "step": 3, "eval/loss": 2.5},
    ]
    train, evaluation = _records(tmp_path, "speed.jsonl")
    written_at = datetime.fromisoformat(train.pop("time"))
    assert str(written_at.tzinfo) == "UTC"
    assert train == {"kind": "train", "step": 3, "train/step_seconds": 0.5}
    assert evaluation.keys() == {"kind", "step", "time"}


def test_listeners_get_both_parts_of_a_record(tmp_path: Path) -> None:
    listener = _Memory()
    with open_recorder(tmp_path, [listener]) as recorder:
        recorder.log("eval", 3, {"eval/loss": 2.5}, {"eval/seconds": 0.5})
    assert listener.records == [("eval", 3, {"eval/loss": 2.5, "eval/seconds": 0.5})]


def test_a_resumed_run_tells_listeners_the_records_of_its_first_step_again(tmp_path: Path) -> None:
    with open_recorder(tmp_path) as recorder:
        for step in (1, 2):
            recorder.log("train", step, {"train/loss": step / 2})
    before = (tmp_path / "metrics.jsonl").read_bytes()
    listener = _Memory()
    with open_recorder(tmp_path, [listener], first_step=2):
        pass
    assert listener.records == [("train", 2, {"train/loss": 1.0})]
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_the_half_line_that_a_power_cut_left_in_speed_is_removed(tmp_path: Path) -> None:
    with open_recorder(tmp_path) as recorder:
        recorder.log("train", 1, {})
    with (tmp_path / "speed.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "tr')
    with open_recorder(tmp_path) as recorder:
        recorder.log("train", 2, {})
    assert [record["step"] for record in _records(tmp_path, "speed.jsonl")] == [1, 2]


def test_a_second_opening_keeps_the_earlier_records(tmp_path: Path) -> None:
    for step in (1, 2):
        with open_recorder(tmp_path) as recorder:
            recorder.log("train", step, {})
    assert [record["step"] for record in _records(tmp_path)] == [1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_raises_and_is_neither_written_nor_passed_on(
    tmp_path: Path, value: float
) -> None:
    listener = _Memory()
    with open_recorder(tmp_path, [listener]) as recorder, pytest.raises(ValueError, match="JSON"):
        recorder.log("train", 1, {"train/loss": value})
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""
    assert listener.records == []


def test_listeners_get_every_record_and_are_closed_when_the_run_breaks(tmp_path: Path) -> None:
    listener = _Memory()
    with pytest.raises(KeyboardInterrupt), open_recorder(tmp_path, [listener]) as recorder:
        recorder.log("epoch", 7, {"epoch/seconds": 2.0})
        raise KeyboardInterrupt
    assert listener.records == [("epoch", 7, {"epoch/seconds": 2.0})]
    assert listener.n_closed == 1


def test_a_failing_listener_is_reported_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    after_it = _Memory()
    with open_recorder(tmp_path, iter([_Broken(), after_it])) as recorder:
        recorder.log("train", 1, {})
        recorder.log("train", 2, {})
    assert len(_records(tmp_path)) == len(after_it.records) == 2
    assert after_it.n_closed == 1
    (warning,) = caplog.messages
    assert "_Broken failed" in warning
    assert "no space left" in warning


def test_a_killed_process_leaves_every_record_it_logged(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from gemtune.monitoring.recorder import open_recorder\n"
        "with open_recorder(pathlib.Path(sys.argv[1])) as recorder:\n"
        "    for step in range(3): recorder.log('train', step, {'train/loss': 1.0})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert [record["step"] for record in _records(tmp_path)] == [0, 1, 2]
