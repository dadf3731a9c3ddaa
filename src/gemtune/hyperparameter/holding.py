"""Holding a part of a trial: signs of life from a thread, and giving it back in the end."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gemtune.hyperparameter.claims import Part, beat, give_back_part
from gemtune.hyperparameter.database import Database
from gemtune.runs.signals import uninterrupted

HEARTBEAT_SECONDS = 60.0
STALE_SECONDS = 180.0

logger = logging.getLogger(__name__)


class LostPartError(Exception):
    """Another worker has taken over what this one was doing; never seen by a user."""


class Holding:
    """A part that this worker holds, for as long as the thread can say so."""

    def __init__(self, database: Database, study: str, part: Part, interval: float) -> None:
        """Start the thread; `interval` is in seconds."""
        self.part = part
        self._database, self._study, self._interval_seconds = database, study, interval
        self._is_over = threading.Event()
        self._is_lost = False
        self._thread = threading.Thread(target=self._beat, name="gemtune-claim", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Make sure that nobody else has taken over.

        Raises:
            LostPartError: somebody has, because this worker could not be heard for too long.
        """
        if self._is_lost:
            raise LostPartError

    def stop(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._is_over.wait(self._interval_seconds):
            try:
                if not beat(self._database, self._study, self.part):
                    self._is_lost = True
                    return
            except Exception as error:
                # Whatever it was: a worker that stopped beating would lose what it trains.
                logger.warning("%s: no sign of life could be left: %s", self._database, error)


@contextmanager
def holding(
    database: Database, study: str, part: Part, interval_seconds: float
) -> Iterator[Holding]:
    """Show signs of life while the block runs; a part without a result is given back at its end."""
    held = Holding(database, study, part, interval_seconds)
    try:
        yield held
    finally:
        with uninterrupted():
            held.stop()
            give_back_part(database, study, part)
