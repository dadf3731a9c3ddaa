"""A run that could not end within the time that SIGTERM leaves says so early, and once."""

import logging

import pytest

from gemtune.fine_tuning.stop_time import StopTime


def warnings_of(
    steps: int, micro_batch: float, save: float, caplog: pytest.LogCaptureFixture
) -> list[str]:
    """What is told over that many steps, with seconds for each part and a save at the third."""
    stop_time = StopTime()
    with caplog.at_level(logging.WARNING):
        for step in range(steps):
            stop_time.note_micro_batch(micro_batch)
            if step == 2:
                stop_time.note_save(save)
            stop_time.end_step()
    return caplog.messages


def test_slow_micro_batches_are_told_once_with_what_to_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [told] = warnings_of(15, 20.04, 2.5, caplog)
    assert "a micro-batch takes up to 20.0 s and a checkpoint 2.5 s" in told
    assert "has 24 s; lower fine_tuning.training.micro_batch_tokens" in told


def test_a_slow_disk_is_told_as_what_it_is(caplog: pytest.LogCaptureFixture) -> None:
    [told] = warnings_of(10, 1.0, 12.0, caplog)
    assert "faster disk" in told
    assert "micro_batch_tokens" not in told


@pytest.mark.parametrize(("steps", "micro_batch", "save"), [(9, 60.0, 9.0), (50, 20.0, 2.0)])
def test_nothing_is_told_before_step_ten_or_when_there_is_time(
    steps: int, micro_batch: float, save: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings_of(steps, micro_batch, save, caplog) == []


def test_the_first_step_of_a_process_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    stop_time = StopTime()
    stop_time.note_micro_batch(100.0)
    for _ in range(12):
        stop_time.end_step()
        stop_time.note_micro_batch(1.0)
    assert caplog.messages == []


def test_a_save_that_turns_out_slow_later_is_told_then(caplog: pytest.LogCaptureFixture) -> None:
    stop_time = StopTime()
    for _ in range(12):
        stop_time.end_step()
    assert caplog.messages == []
    stop_time.note_save(13.0)
    stop_time.end_step()
    assert len(caplog.messages) == 1
