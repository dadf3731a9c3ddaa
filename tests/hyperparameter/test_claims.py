"""Leases: one holder at a time, whatever the clocks say; on both kinds of database."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy

from gemtune.errors import ConfigError, RemoteError
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.claims import (
    Part,
    beat,
    finish_part,
    give_back_part,
    make_table,
    read_parts,
    take_part,
)
from gemtune.hyperparameter.database import Database, naming_database, open_database
from gemtune.hyperparameter.holding import LostPartError, holding
from gemtune.hyperparameter.process_identity import is_gone, new_identity
from gemtune.hyperparameter.stale_parts import StaleWatch

KEY = (3, 1)
ELSEWHERE = "another boot/1/1/abc"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    make_table(database)
    yield database
    with database.engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM gemtune_parts"))
    database.engine.dispose()


def take(database: Database, worker: str, previous: Part | None = None) -> Part | None:
    return take_part(database, "s", KEY, worker, previous)


def the_part(database: Database) -> Part:
    return read_parts(database, "s")[KEY]


def test_a_part_has_one_holder(database: Database) -> None:
    assert take(database, "a")
    assert take(database, "b") is None
    assert the_part(database).worker == "a"


def test_of_two_who_take_over_at_once_one_succeeds(database: Database) -> None:
    take(database, "dead")
    seen = the_part(database)
    taken = take(database, "a", seen)
    assert taken
    assert taken == the_part(database)
    assert (taken.worker, taken.n_deaths) == ("a", 1)
    assert take(database, "b", seen) is None


def test_a_sign_of_life_forestalls_a_takeover(database: Database) -> None:
    part = take(database, "a")
    assert part
    seen = the_part(database)
    assert beat(database, "s", part)
    assert take(database, "b", seen) is None


def test_who_lost_a_part_can_neither_keep_nor_write_it(database: Database) -> None:
    lost = take(database, "a")
    assert lost
    new = take(database, "b", the_part(database))
    assert new
    assert not beat(database, "s", lost)
    assert not finish_part(database, "s", lost, Advance(1, 1, 1.0, 1.0))
    assert not give_back_part(database, "s", lost)
    result = Advance(9, 90, float("nan"), 2.0, ended="diverged")
    assert finish_part(database, "s", new, result)
    assert repr(the_part(database).result) == repr(result)
    assert not finish_part(database, "s", new, Advance(1, 1, 1.0, 1.0))


def test_a_part_that_is_given_back_is_free_at_once_and_nobody_died(database: Database) -> None:
    part = take(database, "a")
    assert part
    with holding(database, "s", part, interval_seconds=60):
        pass
    assert StaleWatch(stale_seconds=1000).free_parts(read_parts(database, "s")) == {KEY}
    again = take(database, "b", the_part(database))
    assert again
    assert again.n_deaths == 0


def test_a_holder_learns_that_it_lost_its_part(database: Database) -> None:
    part = take(database, "a")
    assert part
    with holding(database, "s", part, interval_seconds=0.02) as held:
        while the_part(database).beats == 0:
            time.sleep(0.01)
        held.require()
        # The holder may leave a sign of life between the two calls.
        while take(database, "b", the_part(database)) is None:
            pass
        with pytest.raises(LostPartError):
            for _ in range(1000):
                held.require()
                time.sleep(0.01)
    assert the_part(database).worker == "b"


def test_a_silent_holder_is_dead_after_a_while_and_a_clock_that_jumps_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "time", lambda: now[0] * -1000)
    watch = StaleWatch(stale_seconds=180)
    part = take(database, ELSEWHERE)
    assert part
    assert watch.free_parts(read_parts(database, "s")) == set()
    now[0] += 179
    beat(database, "s", part)
    assert watch.free_parts(read_parts(database, "s")) == set()
    now[0] += 179
    assert watch.free_parts(read_parts(database, "s")) == set()
    now[0] += 1
    assert watch.free_parts(read_parts(database, "s")) == {KEY}


def test_a_holder_whose_process_is_gone_from_this_machine_is_dead_at_once() -> None:
    code = "from gemtune.hyperparameter.process_identity import new_identity\nprint(new_identity())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_gone(child.stdout.strip())
    assert not is_gone(new_identity())
    assert not is_gone(ELSEWHERE)
    place, pid, start, token = new_identity().split("/")
    assert is_gone("/".join([place, pid, f"{start}1", token])), "another process, same number"


def test_one_at_a_time_decides(database: Database) -> None:
    order = []

    def decide() -> None:
        with database.deciding("s"):
            order.append("second")

    with database.deciding("s"):
        other = threading.Thread(target=decide)
        other.start()
        time.sleep(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_place_that_cannot_hold_a_study_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_database(url)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    database = open_database("postgresql://me:hunter2@/d?host=/nowhere")
    with pytest.raises(RemoteError) as caught, naming_database(database), database.deciding("s"):
        pass
    assert "/nowhere" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 8
