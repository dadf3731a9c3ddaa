"""Progress for people, on stderr: of a training run, and of anything counted in rows."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Self, TextIO

from gemtune.monitoring.display import StatusDisplay
from gemtune.monitoring.durations import in_words
from gemtune.monitoring.recorder import Kind

_STATE = (
    ("train/epoch", "epoch {:.1f}"),
    ("train/loss", "loss {:.3f}"),
    ("eval/loss", "eval {:.3f}"),
)
_RATES = (
    ("train/tokens_per_second", "{:,.0f} tokens/s"),
    ("train/examples_per_second", "{:,.1f} examples/s"),
)


class TrainingProgress:
    """A listener of the recorder that shows how far a run is; make it just before the loop."""

    def __init__(
        self,
        n_steps: int,
        every_seconds: float,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        first_step: int = 0,
    ) -> None:
        """Start the clock.

        Args:
            n_steps: Optimizer steps of the whole run.
            every_seconds: Off a terminal, seconds between two lines.
            stream: Where to show it; stderr by default.
            clock: Seconds from any starting point.
            first_step: The step that a resumed run begins after.
        """
        self._display = StatusDisplay(stream or sys.stderr, every_seconds, clock)
        self._n_steps = n_steps
        self._clock = clock
        self._started = self._steps_started = clock()
        self._step = self._first_step = first_step
        self._latest: dict[str, float] = {}
        self._ending = "stopped after"

    def log(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        """Remember the newest values, and show all that is known after a training step."""
        self._step = step
        self._latest.update(values)
        if step == self._first_step:
            # Validating the base model says nothing about how long the steps will take.
            self._steps_started = self._clock()
        elif kind == "train":
            seconds = self._clock() - self._steps_started
            time_left = _time_left(step - self._first_step, self._n_steps - step, seconds)
            self._display.show(self._text(time_left), step / self._n_steps)
        if kind == "end":
            self._ending = "done in"

    def close(self) -> None:
        """Leave a last line: how far the run came and how long it took."""
        took = f"{self._ending} {in_words(self._clock() - self._started)}"
        self._display.finish(self._text(took))

    def _text(self, ending: str) -> str:
        state = [_counted("step", self._step, self._n_steps), *self._known(_STATE)]
        return _joined(" ".join(state), " ".join(self._known(_RATES)), ending)

    def _known(self, formats: tuple[tuple[str, str], ...]) -> list[str]:
        return [text.format(self._latest[key]) for key, text in formats if key in self._latest]


class CountProgress:
    """Shows `answers (base) 40/120 (33 %)`, a speed and the time left; one label after another."""

    def __init__(
        self,
        every_seconds: float,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Show on `stream` (stderr), off a terminal with `every_seconds` between two lines."""
        self._display = StatusDisplay(stream or sys.stderr, every_seconds, clock)
        self._clock = clock
        self._label: str | None = None
        self._text = ""
        self._first = (0, 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def update(self, label: str, n_done: int, n_all: int) -> None:
        """Show that `n_done` of `n_all` rows are done; a new label ends the one before."""
        now = self._clock()
        if label != self._label:
            self._finish()
            # Timed from here, because loading a model may have come before the first rows.
            self._label, self._first = label, (n_done, now)
        n_timed, seconds = n_done - self._first[0], now - self._first[1]
        rate = f"{n_timed / seconds:,.1f} rows/s" if n_timed and seconds else ""
        self._text = _joined(_counted(label, n_done, n_all), rate)
        time_left = _time_left(n_timed, n_all - n_done, seconds)
        self._display.show(_joined(self._text, time_left), n_done / n_all)
        if n_done == n_all:
            self._finish()

    def _finish(self) -> None:
        if self._label is not None:
            self._display.finish(self._text)
            self._label = None


def _counted(label: str, n_done: int, n_all: int) -> str:
    return f"{label} {n_done:,}/{n_all:,} ({100 * n_done // n_all} %)"


def _time_left(n_done: int, n_left: int, seconds: float) -> str:
    """Assume that what is left goes as fast as what was done; empty before anything was."""
    return f"{in_words(seconds / n_done * n_left)} left" if n_done else ""


def _joined(*parts: str) -> str:
    return " | ".join(part for part in parts if part)
