"""Records as TensorBoard scalars."""

import logging
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gemtune.monitoring.recorder import open_recorder
from gemtune.monitoring.tensorboard import TensorBoardListener


def test_every_value_becomes_a_scalar_that_log_readers_find(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_recorder(tmp_path, [TensorBoardListener(tmp_path)]) as recorder:
        recorder.log("train", 1, {"train/loss": 2.0, "train/grad_norm": 0.5})
        recorder.log("train", 2, {"train/loss": 1.5})
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(1, 2.0), (2, 1.5)]
    assert [(e.step, e.value) for e in events.Scalars("train/grad_norm")] == [(1, 0.5)]
