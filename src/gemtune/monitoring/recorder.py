"""What happens during a run: written to `metrics.jsonl`, and passed on to whoever shows it."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TextIO

from gemtune.runs.run import METRICS_FILE

_LOGGER = logging.getLogger(__name__)

Kind = Literal["train", "eval", "epoch", "end"]


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

    def __init__(self, stream: TextIO, listeners: Iterable[Listener]) -> None:
        """Write to `stream`, which hands each line to the system as soon as it is complete."""
        self._stream = stream
        self._listeners = tuple(listeners)
        self._failed: set[int] = set()

    def log(self, kind: Kind, step: int, values: Mapping[str, float]) -> None:
        """Write one record, then tell the listeners.

        Args:
            kind: What the record is about; docs/reference/metrics_jsonl.md lists the keys of each.
            step: Optimizer steps done so far.
            values: Metric names such as `train/loss` and their values.

        Raises:
            ValueError: a value is not finite; nothing is written.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"kind": kind, "step": step, "time": time, **values}
        self._stream.write(json.dumps(record, allow_nan=False) + "\n")
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
def open_recorder(run_dir: Path, listeners: Iterable[Listener] = ()) -> Iterator[Recorder]:
    """Record into `run_dir/metrics.jsonl` while the block runs, after what is there already.

    Every line is with the operating system before `log` returns: a killed run loses no record.
    """
    with (run_dir / METRICS_FILE).open("a", encoding="utf-8", buffering=1) as stream:
        recorder = Recorder(stream, listeners)
        try:
            yield recorder
        finally:
            recorder.close_listeners()
