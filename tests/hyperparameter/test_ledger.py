"""The time that machines have worked on a study."""

import threading
from pathlib import Path

import pytest

from gemtune.hyperparameter.database import Database, open_database, sqlite_url
from gemtune.hyperparameter.ledger import (
    Session,
    Stopwatch,
    keep_time,
    read_sessions,
    wall_seconds,
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(sqlite_url(tmp_path / "study.db"))


def session(started_at: float, seconds: float) -> Session:
    return Session("me", started_at, seconds, 0.0, None)


def test_wall_clock_counts_each_moment_once_and_pauses_not_at_all() -> None:
    together = [session(100, 50), session(120, 10), session(140, 30)]
    assert wall_seconds(together) == 70
    assert wall_seconds([*together, session(1000, 5)]) == 75
    assert wall_seconds([]) == 0


def test_the_time_of_a_process_is_kept_with_its_price_and_its_set_up(database: Database) -> None:
    watch = Stopwatch()
    with keep_time(database, "s", "one", watch, 0.25, 3.6):
        pass
    with keep_time(database, "other study", "two", watch, 0.0, None):
        pass
    (found,) = read_sessions(database, "s")
    assert (found.worker, found.setup_seconds, found.usd_per_hour) == ("one", 0.25, 3.6)
    assert 0 < found.seconds <= watch.seconds
    assert found.usd == pytest.approx(found.seconds / 1000)


def test_a_process_that_is_killed_has_its_time_written_down_up_to_then(database: Database) -> None:
    grown = threading.Event()

    def look() -> float:
        return read_sessions(database, "s")[0].seconds

    with keep_time(database, "s", "one", Stopwatch(), 0.0, None, every_seconds=0.02):
        first = look()
        for _ in range(500):
            if look() > first:
                break
            grown.wait(0.01)
        assert look() > first
