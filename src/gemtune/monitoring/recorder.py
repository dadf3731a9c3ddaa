"""What happens during a run: written down, and passed on to whoever shows it.

`metrics.jsonl` holds what training computed and is the same however often a run was broken off.
`speed.jsonl` holds what the clock and the machine said.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TextIO

from gemtune.runs.files import naming
from gemtune.runs.run import METRICS_FILE, SPEED_FILE

_LOGGER = logging.getLogger(__name__)

Kind = Literal["train", "skipped", "eval", "epoch", "end"]


class Listener(Protocol):
    """Gets every record after it is written; what it raises never stops the run."""

    def log(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        """Take in one record; `values` must not be changed."""
        ...

    def close(self) -> None:
        """Finish; called once, also when the run breaks off."""
        ...


class Recorder:
    """Writes records one JSON object a line; get one from `open_recorder`."""

    def __init__(
        self, run_dir: Path, metrics: TextIO, speed: TextIO, listeners: Iterable[Listener]
    ) -> None:
        """Write to two streams that hand each line to the system as soon as it is complete.

        `run_dir` is the folder of the two, as errors call it.
        """
        self._metrics, self._speed = (
            (run_dir / METRICS_FILE, metrics),
            (run_dir / SPEED_FILE, speed),
        )
        self._listeners = tuple(listeners)
        self._failed: set[int] = set()

    def log(
        self,
        kind: Kind,
        step: int,
        values: Mapping[str, float],
        timings: Mapping[str, float] | None = None,
    ) -> None:
        """Write one record, then tell the listeners.

        Args:
            kind: What the record is about; docs/reference/metrics_jsonl.md lists the keys of each.
            step: Optimizer steps done so far.
            values: What was computed: metric names such as `train/loss` and their values.
            timings: What depends on the clock and the machine.

        Raises:
            ValueError: a value is not finite; nothing is written.
            OSError: it cannot be written; `filename` is set.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        timings = timings or {}
        metrics = _line({"kind": kind, "step": step, **values})
        speed = _line({"kind": kind, "step": step, "time": time, **timings})
        for (path, stream), line in ((self._metrics, metrics), (self._speed, speed)):
            with naming(path):
                stream.write(line)
        self.tell(kind, step, {**values, **timings})

    def tell(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        """Tell the listeners of a record without writing it."""
        for listener in self._listeners:
            self._attempt(listener, partial(listener.log, kind, step, values))

    def close_listeners(self) -> None:
        """Let every listener finish."""
        for listener in self._listeners:
            self._attempt(listener, listener.close)

    def _attempt(self, listener: Listener, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            if id(listener) not in self._failed:
                self._failed.add(id(listener))
                name = type(listener).__name__
                _LOGGER.warning("%s failed, the run and %s go on: %r", name, METRICS_FILE, error)


@contextmanager
def open_recorder(
    run_dir: Path, listeners: Iterable[Listener] = (), *, first_step: int = 0
) -> Iterator[Recorder]:
    """Record into a run folder while the block runs, after what is there already.

    Every line is with the operating system before `log` returns: a killed run loses no record.

    Args:
        run_dir: The run folder.
        listeners: Who is told too.
        first_step: The step that a resumed run begins after; listeners are told its records again,
            because they cannot know whether they took them in before the run was broken off.
    """
    _cut_broken_line(run_dir / SPEED_FILE)
    with (
        (run_dir / METRICS_FILE).open("a", encoding="utf-8", buffering=1) as metrics,
        (run_dir / SPEED_FILE).open("a", encoding="utf-8", buffering=1) as speed,
    ):
        recorder = Recorder(run_dir, metrics, speed, listeners)
        try:
            for kind, values in _records_of(run_dir / METRICS_FILE, first_step):
                recorder.tell(kind, first_step, values)
            yield recorder
        finally:
            recorder.close_listeners()


def _line(record: Mapping[str, object]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _cut_broken_line(path: Path) -> None:
    """Remove the part of a line that a power cut left."""
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)


def _records_of(path: Path, step: int) -> Iterator[tuple[Kind, dict[str, float]]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.pop("step") == step:
            yield record.pop("kind"), record
