"""Two machines, one run: one of them works."""

import json
import threading
import time

import pytest
from vertex.fake_storage import FakeStorage, Fault

from gemtune.errors import RunLockedError
from gemtune.vertex.folder import BucketFolder
from gemtune.vertex.lease import LEASE, hold_lease

OBJECT = f"runs/one/{LEASE}"
INTERVAL = 0.1


def wait_until_renewed(storage: FakeStorage, times: int = 1) -> None:
    for _ in range(times):
        before = storage.objects[OBJECT].generation
        deadline = time.monotonic() + 5
        while storage.objects[OBJECT].generation == before:
            assert time.monotonic() < deadline
            time.sleep(INTERVAL / 10)


def left_behind(storage: FakeStorage, holder: str = "elsewhere") -> None:
    about = {"holder": holder, "session": "x", "host": "far", "pid": 77, "since": "yesterday"}
    storage.put(OBJECT, json.dumps(about).encode())


def test_a_lease_is_renewed_and_given_back(folder: BucketFolder, storage: FakeStorage) -> None:
    with hold_lease(folder, "here", INTERVAL):
        wait_until_renewed(storage, times=2)
    assert OBJECT not in storage.objects


def test_a_second_machine_is_refused_and_told_who_works(
    folder: BucketFolder, storage: FakeStorage
) -> None:
    with hold_lease(folder, "here", INTERVAL) as lease:
        with (
            pytest.raises(RunLockedError, match=r"process \d+ on .* works on this run"),
            hold_lease(folder, "there", INTERVAL),
        ):
            pytest.fail("two at once")
        wait_until_renewed(storage)
        lease.require()


def test_a_lease_of_a_dead_process_elsewhere_is_taken_over_after_three_intervals(
    folder: BucketFolder, storage: FakeStorage
) -> None:
    left_behind(storage)
    started = time.monotonic()
    with hold_lease(folder, "here", INTERVAL):
        assert 3 * INTERVAL <= time.monotonic() - started < 10 * INTERVAL


def test_a_lease_of_a_dead_process_of_this_folder_is_taken_over_at_once(
    folder: BucketFolder, storage: FakeStorage
) -> None:
    left_behind(storage, holder="here")
    started = time.monotonic()
    with hold_lease(folder, "here", interval_seconds=60):
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"host": "\\u001b[2J"}'])
def test_a_lease_that_nobody_can_read_is_still_a_lease(
    folder: BucketFolder,
    storage: FakeStorage,
    caplog: pytest.LogCaptureFixture,
    content: bytes,
) -> None:
    storage.put(OBJECT, content)
    with hold_lease(folder, "here", INTERVAL):
        assert "waiting up to" in caplog.text
        assert "\x1b" not in caplog.text


def test_of_many_that_come_at_once_one_gets_it(folder: BucketFolder, storage: FakeStorage) -> None:
    left_behind(storage)
    outcomes: list[str] = []
    all_know = threading.Event()

    def come(name: str) -> None:
        try:
            with hold_lease(folder, name, INTERVAL):
                outcomes.append("works")
                all_know.wait(5)
        except RunLockedError:
            outcomes.append("refused")
        if len(outcomes) == 4:
            all_know.set()

    threads = [threading.Thread(target=come, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 5
    while len(outcomes) < 4 and time.monotonic() < deadline:
        time.sleep(INTERVAL)
    all_know.set()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "refused", "refused", "works"]


def test_a_renewal_that_fails_for_any_reason_is_not_the_last_one(
    folder: BucketFolder, storage: FakeStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, n_left = BucketFolder.write, 2

    def fail_twice(self: BucketFolder, name: str, content: bytes, *, generation: int) -> int | None:
        nonlocal n_left
        n_left -= 1
        if n_left >= 0:
            raise MemoryError
        return real(self, name, content, generation=generation)

    with hold_lease(folder, "here", INTERVAL) as lease:
        monkeypatch.setattr(BucketFolder, "write", fail_twice)
        wait_until_renewed(storage)
        lease.require()


def test_one_that_lost_its_lease_learns_it(folder: BucketFolder, storage: FakeStorage) -> None:
    with hold_lease(folder, "here", INTERVAL) as lease:
        left_behind(storage)
        time.sleep(3 * INTERVAL)
        with pytest.raises(RunLockedError, match="process 77 on far"):
            lease.require()
    assert b"yesterday" in storage.objects[OBJECT].content


@pytest.mark.parametrize("kind", ["503", "lose-answer", "reset"])
def test_a_lease_outlives_faults(folder: BucketFolder, storage: FakeStorage, kind: str) -> None:
    with hold_lease(folder, "here", INTERVAL) as lease:
        storage.faults = [Fault(kind, "POST", LEASE, count=1)]
        time.sleep(INTERVAL)
        storage.faults = []
        wait_until_renewed(storage, times=2)
        lease.require()
