"""`run.json`: what was run, on what, what happened to it, and how it ended."""

import logging
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gemtune.errors import NotFiniteError
from gemtune.fine_tuning.loop import LoopResult
from gemtune.runs.run import now, write_run

logger = logging.getLogger(__name__)


class RunRecord:
    """The record of one run; every change is on disk at once."""

    def __init__(
        self, run_dir: Path, values: Mapping[str, Any], earlier: Mapping[str, Any] | None
    ) -> None:
        """Write the first state; `earlier` is what the run left when it was broken off."""
        self._run_dir = run_dir
        self._seconds_before = float(earlier.get("train_seconds", 0)) if earlier else 0.0
        self._started = time.monotonic()
        self._events: list[dict[str, Any]] = list(earlier["events"]) if earlier else []
        self._values = {**values, "started": earlier["started"] if earlier else now()}
        self._write(status="running")

    @property
    def is_done(self) -> bool:
        """Whether the run came to its end."""
        return self._values["status"] == "done"

    def add_event(self, event: str, **details: Any) -> None:
        """Note that something happened that a reader of the result should know."""
        self._events.append({"event": event, "time": now(), **details})
        self._write()

    def change(self, **values: Any) -> None:
        """Replace top-level values."""
        self._write(**values)

    def finish(self, result: LoopResult) -> None:
        """Note a run that came to its end."""
        self._write(
            status="done",
            finished=now(),
            train_seconds=self._train_seconds(),
            peak_memory_gib=_peak_memory_gib(),
            degraded=bool(result.skipped_steps),
            result=asdict(result),
        )

    def stop(self, error: BaseException) -> None:
        """Note a run that broke off."""
        self._write(
            status="stopped",
            finished=now(),
            train_seconds=self._train_seconds(),
            error=_in_words(error),
        )

    def _train_seconds(self) -> float:
        return round(self._seconds_before + time.monotonic() - self._started, 3)

    def _write(self, **changes: Any) -> None:
        self._values |= changes
        write_run(self._run_dir, {**self._values, "events": self._events})


def _in_words(error: BaseException) -> str:
    return ": ".join(filter(None, (type(error).__name__, str(error))))


@contextmanager
def open_record(
    run_dir: Path, values: Mapping[str, Any], earlier: Mapping[str, Any] | None
) -> Iterator[RunRecord]:
    """Keep `run.json` while the block runs; a block that raises is noted as stopped."""
    record = RunRecord(run_dir, values, earlier)
    try:
        yield record
    except BaseException as error:
        # A signal may come after the last line of a run was written.
        if not record.is_done:
            record.stop(error)
            # What is not finite once is so again: there is something to change first.
            if isinstance(error, NotFiniteError):
                logger.warning("the run stopped; what it reached is in %s", run_dir)
            else:
                logger.warning(
                    "the run stopped; the same command goes on with what is in %s", run_dir
                )
        raise


def _peak_memory_gib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts it in bytes, Linux in KiB.
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
