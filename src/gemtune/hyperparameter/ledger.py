"""How long machines have worked on a study: kept in its database, so that no restart forgets it."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from sqlalchemy import Column, Float, MetaData, String, Table, insert, select, update
from sqlalchemy.sql import Executable

from gemtune.hyperparameter.database import Database
from gemtune.runs.signals import uninterrupted

EVERY_SECONDS = 10.0

logger = logging.getLogger(__name__)

_METADATA = MetaData()
_SESSIONS = Table(
    "gemtune_sessions",
    _METADATA,
    Column("study", String(200), primary_key=True),
    Column("worker", String(200), primary_key=True),
    Column("started_at", Float(53), nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("setup_seconds", Float(53), nullable=False),
    Column("usd_per_hour", Float(53)),
)


@dataclass(frozen=True, slots=True)
class Session:
    """One process that worked on a study, or still does."""

    worker: str
    started_at: float
    """Seconds since 1970, by the clock of its machine."""
    seconds: float
    """How long it has worked; of one that was killed, up to its last sign of life."""
    setup_seconds: float
    """How long it took to load the model and the data, without importing what does it."""
    usd_per_hour: float | None
    """Price of its machine."""

    @property
    def usd(self) -> float:
        """What it has cost; 0 where no price is known."""
        return self.seconds / 3600 * (self.usd_per_hour or 0.0)


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        """Start it."""
        self.started_at = time.time()
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._started


def read_sessions(database: Database, study: str) -> list[Session]:
    """All processes that ever worked on a study, the first one first."""
    query = select(_SESSIONS).where(_SESSIONS.c.study == study)
    with database.engine.connect() as connection:
        rows = connection.execute(query.order_by(_SESSIONS.c.started_at)).all()
    return [
        Session(row.worker, row.started_at, row.seconds, row.setup_seconds, row.usd_per_hour)
        for row in rows
    ]


def wall_seconds(sessions: Sequence[Session]) -> float:
    """Time in which at least one process worked; pauses between processes do not count."""
    total, until = 0.0, 0.0
    for session in sorted(sessions, key=lambda each: each.started_at):
        end = session.started_at + session.seconds
        total += max(0.0, end - max(until, session.started_at))
        until = max(until, end)
    return total


@contextmanager
def keep_time(
    database: Database,
    study: str,
    worker: str,
    watch: Stopwatch,
    setup_seconds: float,
    usd_per_hour: float | None,
    every_seconds: float = EVERY_SECONDS,
) -> Iterator[None]:
    """Write down, again and again, how long this process has worked, until the block ends.

    Args:
        database: Where the study is.
        study: Its name.
        worker: Identity of this process.
        watch: Started when the process began to work.
        setup_seconds: To load the model and the data.
        usd_per_hour: Price of this machine.
        every_seconds: At most this much is forgotten when the process is killed.
    """
    _METADATA.create_all(database.engine)
    session = Session(worker, watch.started_at, watch.seconds, setup_seconds, usd_per_hour)
    _write(database, insert(_SESSIONS).values(study=study, **asdict(session)))
    is_over = threading.Event()

    def tick() -> None:
        mine = (_SESSIONS.c.study == study) & (_SESSIONS.c.worker == worker)
        _write(database, update(_SESSIONS).where(mine).values(seconds=watch.seconds))

    def keep_ticking() -> None:
        while not is_over.wait(every_seconds):
            try:
                tick()
            except Exception as error:
                # The next one counts the same seconds again.
                logger.debug("%s: the time could not be written down: %s", database, error)

    thread = threading.Thread(target=keep_ticking, name="gemtune-time", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with uninterrupted():
            is_over.set()
            thread.join()
            tick()


def _write(database: Database, statement: Executable) -> None:
    with database.writing(), database.engine.begin() as connection:
        connection.execute(statement)
