"""What people see of a run, on a terminal and off one."""

import io

import pytest

from gemtune.monitoring.progress import CountProgress, TrainingProgress

_VALUES = {
    "train/epoch": 1.0,
    "train/loss": 1.2341,
    "train/tokens_per_second": 4120.4,
    "train/examples_per_second": 9.07,
}


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> _Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return _Terminal()


def test_the_first_step_gives_a_line_and_then_one_comes_when_it_is_time(clock: _Clock) -> None:
    stream = io.StringIO()
    progress = TrainingProgress(120, 30.0, stream, clock)
    for step in range(1, 41):
        clock.now += 1
        progress.log("train", step, _VALUES)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("step 1/120 (0 %) ")
    assert second.startswith("step 31/120 (25 %) ")


def test_a_line_has_all_that_is_known_and_the_time_left(clock: _Clock) -> None:
    stream = io.StringIO()
    progress = TrainingProgress(120, 30.0, stream, clock)
    progress.log("eval", 0, {"eval/loss": 1.4})
    clock.now += 40
    progress.log("train", 40, _VALUES)
    assert stream.getvalue() == (
        "step 40/120 (33 %) epoch 1.0 loss 1.234 eval 1.400"
        " | 4,120 tokens/s 9.1 examples/s | 1 min 20 s left\n"
    )


def test_validating_the_base_model_does_not_count_as_time_of_steps(clock: _Clock) -> None:
    stream = io.StringIO()
    progress = TrainingProgress(11, 30.0, stream, clock)
    clock.now += 500
    progress.log("eval", 0, {"eval/loss": 1.4})
    clock.now += 2
    progress.log("train", 1, _VALUES)
    assert stream.getvalue().endswith(" | 20 s left\n")


def test_the_last_line_says_done_only_after_the_end_was_recorded(clock: _Clock) -> None:
    last_lines = []
    for is_ended in (True, False):
        stream = io.StringIO()
        progress = TrainingProgress(10, 30.0, stream, clock)
        clock.now += 63
        progress.log("train", 5, {"train/loss": 0.5})
        if is_ended:
            progress.log("end", 5, {})
        progress.close()
        last_lines.append(stream.getvalue().splitlines()[-1])
    assert last_lines == [
        "step 5/10 (50 %) loss 0.500 | done in 1 min 3 s",
        "step 5/10 (50 %) loss 0.500 | stopped after 1 min 3 s",
    ]


def test_a_terminal_gets_a_bar_that_the_last_line_replaces(
    clock: _Clock, terminal: _Terminal
) -> None:
    progress = TrainingProgress(4, 30.0, terminal, clock)
    for step in (1, 2):
        clock.now += 1
        progress.log("train", step, {"train/loss": 0.5})
    shown = terminal.getvalue()
    assert "step 1/4" in shown
    assert "step 2/4" in shown
    assert "\u2501" in shown
    progress.close()
    assert terminal.getvalue().endswith("\x1b[2Kstep 2/4 (50 %) loss 0.500 | stopped after 2 s\n")


def test_the_bar_is_not_drawn_more_often_than_eyes_can_follow(
    clock: _Clock, terminal: _Terminal
) -> None:
    progress = TrainingProgress(1000, 30.0, terminal, clock)
    for step in range(1, 101):
        clock.now += 0.01
        progress.log("train", step, {})
    assert 9 <= terminal.getvalue().count("step ") <= 11
    progress.close()


def test_a_dumb_terminal_gets_plain_lines(
    clock: _Clock, terminal: _Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    TrainingProgress(4, 30.0, terminal, clock).log("train", 1, {"train/loss": 0.5})
    assert terminal.getvalue() == "step 1/4 (25 %) loss 0.500 | 0 s left\n"


def test_the_last_step_is_told_once(clock: _Clock) -> None:
    stream = io.StringIO()
    progress = TrainingProgress(1, 30.0, stream, clock)
    progress.log("train", 1, {"train/loss": 0.5})
    progress.log("end", 1, {})
    progress.close()
    with CountProgress(30.0, stream, clock) as count:
        count.update("answers (base)", 2, 2)
    assert stream.getvalue().splitlines() == [
        "step 1/1 (100 %) loss 0.500 | done in 0 s",
        "answers (base) 2/2 (100 %)",
    ]


def test_counted_rows_show_speed_and_time_left_from_the_second_report_on(clock: _Clock) -> None:
    stream = io.StringIO()
    with CountProgress(30.0, stream, clock) as progress:
        for n_done in (10, 40):
            progress.update("answers (base)", n_done, 120)
            clock.now += 30
    assert stream.getvalue().splitlines() == [
        "answers (base) 10/120 (8 %)",
        "answers (base) 40/120 (33 %) | 1.0 rows/s | 1 min 20 s left",
        "answers (base) 40/120 (33 %) | 1.0 rows/s",
    ]


def test_a_new_label_ends_the_one_before_and_starts_its_own_clock(clock: _Clock) -> None:
    stream = io.StringIO()
    with CountProgress(30.0, stream, clock) as progress:
        progress.update("answers (base)", 1, 2)
        clock.now += 1000
        progress.update("answers (tuned)", 1, 3)
        clock.now += 1
        progress.update("answers (tuned)", 3, 3)
    assert stream.getvalue().splitlines() == [
        "answers (base) 1/2 (50 %)",
        "answers (base) 1/2 (50 %)",
        "answers (tuned) 1/3 (33 %)",
        "answers (tuned) 3/3 (100 %) | 2.0 rows/s",
    ]


def test_nothing_counted_shows_nothing(clock: _Clock) -> None:
    stream = io.StringIO()
    with CountProgress(30.0, stream, clock):
        pass
    assert stream.getvalue() == ""
