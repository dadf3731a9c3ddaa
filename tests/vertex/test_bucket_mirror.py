"""A bucket follows a run so that at every moment a committed checkpoint can be found in it."""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vertex.conftest import MakeCheckpoint
from vertex.fake_storage import FakeStorage, Fault

from gemtune.errors import GemtuneError, RemoteError, UsageError
from gemtune.runs.checkpoints import list_checkpoints
from gemtune.runs.manifest import find_damage, write_manifest
from gemtune.vertex.bucket import BucketMirror
from gemtune.vertex.checkpoint_objects import download_checkpoints, list_attempts
from gemtune.vertex.folder import BucketFolder
from gemtune.vertex.lease import LEASE, hold_lease
from gemtune.vertex.restore import restore_run
from gemtune.vertex.work_folder import Link, open_link

WAIT_SECONDS = 10
URL = "gs://shelf/runs/one"


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text('{"status": "running"}')
    return folder


@pytest.fixture
def mirror(folder: BucketFolder, run_dir: Path) -> Iterator[BucketMirror]:
    with hold_lease(folder, "here", interval_seconds=60) as lease:
        yield BucketMirror(folder, run_dir, open_link(run_dir, URL), lease)


def finish(run_dir: Path) -> None:
    """What a run leaves at its end."""
    (run_dir / "run.json").write_text('{"status": "done"}')
    (run_dir / "adapter.bin").write_bytes(b"weights")
    write_manifest(run_dir, [Path("adapter.bin"), Path("run.json")])


def found_steps(folder: BucketFolder) -> list[int]:
    return [attempt.step for attempt in list_attempts(folder) if attempt.is_committed]


def fetch(folder: BucketFolder, run_dir: Path) -> Link:
    run_dir.mkdir(exist_ok=True)
    return restore_run(folder, run_dir, open_link(run_dir, URL), with_checkpoints=False)


def local_steps(run_dir: Path) -> list[int]:
    return [found.step for found in list_checkpoints(run_dir / "checkpoints")]


def test_a_checkpoint_arrives_as_it_is(
    mirror: BucketMirror, folder: BucketFolder, make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint(7)
    mirror.submit(checkpoint)
    mirror.drain(WAIT_SECONDS)
    assert download_checkpoints(folder, tmp_path / "other") == [7]
    for path in checkpoint.folder.iterdir():
        copy = tmp_path / "other" / checkpoint.folder.name / path.name
        assert copy.read_bytes() == path.read_bytes()


def test_the_manifest_is_the_last_object_of_a_checkpoint(
    mirror: BucketMirror, storage: FakeStorage, make_checkpoint: MakeCheckpoint
) -> None:
    mirror.submit(make_checkpoint(7))
    mirror.drain(WAIT_SECONDS)
    sent = [name for method, name in storage.log if method == "POST" and "/step-" in name]
    assert [name.rpartition("/")[2] for name in sent] == [
        "adapter.bin",
        "state.json",
        "manifest.json",
    ]


@pytest.mark.parametrize("n_changes", range(6))
def test_a_kill_between_two_uploads_leaves_the_older_checkpoint_to_be_found(
    mirror: BucketMirror,
    folder: BucketFolder,
    storage: FakeStorage,
    make_checkpoint: MakeCheckpoint,
    tmp_path: Path,
    n_changes: int,
) -> None:
    mirror.submit(make_checkpoint(1))
    mirror.keep({1})
    mirror.drain(WAIT_SECONDS)
    # run.json, two files and the manifest; then the first of the deletions.
    storage.changes_left = n_changes
    mirror.submit(make_checkpoint(2))
    mirror.keep({2})
    with pytest.raises(GemtuneError):
        mirror.publish()
    storage.changes_left = None
    fetch(folder, tmp_path / "other")
    newest = list_checkpoints(tmp_path / "other" / "checkpoints")[0]
    assert newest.step == (2 if n_changes >= 4 else 1)
    assert not find_damage(newest.folder)


def test_kept_steps_stay_and_all_else_goes(
    mirror: BucketMirror,
    folder: BucketFolder,
    storage: FakeStorage,
    make_checkpoint: MakeCheckpoint,
) -> None:
    storage.put("runs/one/checkpoints/step-00000003/dead/adapter.bin", b"of a killed process")
    for step in (1, 2, 3):
        mirror.submit(make_checkpoint(step))
    mirror.keep({1, 3})
    mirror.drain(WAIT_SECONDS)
    assert found_steps(folder) == [3, 1]
    assert all("dead" not in name for name in storage.objects)


def test_a_removed_checkpoint_loses_its_manifest_first(
    mirror: BucketMirror, storage: FakeStorage, make_checkpoint: MakeCheckpoint
) -> None:
    mirror.submit(make_checkpoint(1))
    mirror.keep(())
    mirror.drain(WAIT_SECONDS)
    gone = [name for method, name in storage.log if method == "DELETE" and "/step-" in name]
    assert gone[0].endswith("manifest.json")
    assert len(gone) == 3


def test_submit_waits_for_the_checkpoint_before(
    mirror: BucketMirror, storage: FakeStorage, make_checkpoint: MakeCheckpoint
) -> None:
    first, second = make_checkpoint(1), make_checkpoint(2)
    # The client gives the hanging request up after its time limit and repeats it.
    storage.faults = [Fault("hang", "POST", "adapter.bin")]
    mirror.submit(first)
    assert "manifest.json" not in str(storage.names())
    mirror.submit(second)
    assert any("step-00000001" in name and "manifest" in name for name in storage.objects)
    mirror.drain(WAIT_SECONDS)


def test_what_could_not_be_sent_is_raised_by_the_next_call(
    mirror: BucketMirror, storage: FakeStorage, make_checkpoint: MakeCheckpoint
) -> None:
    storage.faults = [Fault("503", "POST", "adapter.bin", count=999)]
    mirror.submit(make_checkpoint(1))
    with pytest.raises(RemoteError, match=r"adapter\.bin"):
        mirror.submit(make_checkpoint(2))


def test_drain_gives_up_in_time_and_says_so(
    mirror: BucketMirror,
    storage: FakeStorage,
    make_checkpoint: MakeCheckpoint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage.faults = [Fault("hang", "POST", "adapter.bin", count=999)]
    mirror.submit(make_checkpoint(1))
    started = time.monotonic()
    mirror.drain(0.2)
    assert time.monotonic() - started < 1
    assert "the newest checkpoint is in" in caplog.text


def test_drain_does_not_replace_the_reason_for_the_end(
    mirror: BucketMirror, make_checkpoint: MakeCheckpoint, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = make_checkpoint(1)
    (checkpoint.folder.parents[1] / "run.json").unlink()
    mirror.submit(checkpoint)
    mirror.drain(WAIT_SECONDS)
    assert "No such file" in caplog.text
    assert "the newest checkpoint is in" in caplog.text


def test_the_result_is_published_with_its_manifest_last(
    mirror: BucketMirror, storage: FakeStorage, run_dir: Path
) -> None:
    finish(run_dir)
    mirror.publish()
    sent = [name for method, name in storage.log if method == "POST"]
    assert sent[-1] == "runs/one/manifest.json"
    assert storage.objects["runs/one/adapter.bin"].content == b"weights"


def test_a_published_result_is_not_sent_twice(
    mirror: BucketMirror, storage: FakeStorage, run_dir: Path
) -> None:
    finish(run_dir)
    mirror.publish()
    storage.log.clear()
    mirror.publish()
    assert [method for method, _ in storage.log] == ["GET"]


def test_another_machine_gets_the_result_of_a_finished_run(
    mirror: BucketMirror, folder: BucketFolder, run_dir: Path, tmp_path: Path
) -> None:
    finish(run_dir)
    mirror.publish()
    other = tmp_path / "other"
    link = fetch(folder, other)
    assert (other / "adapter.bin").read_bytes() == b"weights"
    assert find_damage(other) == []
    assert link.run == open_link(run_dir, URL).run


def test_a_run_that_goes_on_is_not_done_in_the_bucket_any_more(
    mirror: BucketMirror, storage: FakeStorage, run_dir: Path, make_checkpoint: MakeCheckpoint
) -> None:
    storage.put("runs/one/manifest.json", b"{}")
    mirror.submit(make_checkpoint(1))
    mirror.drain(WAIT_SECONDS)
    assert "runs/one/manifest.json" not in storage.objects


def test_a_damaged_checkpoint_is_passed_on_for_the_run_to_report(
    mirror: BucketMirror,
    folder: BucketFolder,
    storage: FakeStorage,
    make_checkpoint: MakeCheckpoint,
    tmp_path: Path,
) -> None:
    for step in (1, 2):
        mirror.submit(make_checkpoint(step))
    mirror.drain(WAIT_SECONDS)
    name = next(name for name in storage.names() if "step-00000002" in name and "adapter" in name)
    storage.put(name, b"\0" * 1000)
    fetch(folder, tmp_path / "other")
    newest, older = list_checkpoints(tmp_path / "other" / "checkpoints")
    assert find_damage(newest.folder)
    assert not find_damage(older.folder)


def test_of_two_attempts_the_whole_one_is_taken(
    mirror: BucketMirror,
    folder: BucketFolder,
    storage: FakeStorage,
    make_checkpoint: MakeCheckpoint,
    tmp_path: Path,
) -> None:
    checkpoint = make_checkpoint(1)
    for _ in range(2):
        mirror.submit(checkpoint)
    mirror.drain(WAIT_SECONDS)
    for damaged in (0, 1):
        names = [name for name in storage.names() if "adapter" in name]
        whole = storage.objects[names[damaged]].content
        storage.put(names[damaged], b"\0" * 1000)
        other = tmp_path / f"other-{damaged}"
        download_checkpoints(folder, other)
        assert not find_damage(other / checkpoint.folder.name)
        storage.put(names[damaged], whole)


def test_names_in_the_bucket_cannot_lead_out_of_the_work_folder(
    mirror: BucketMirror,
    folder: BucketFolder,
    storage: FakeStorage,
    make_checkpoint: MakeCheckpoint,
    tmp_path: Path,
) -> None:
    mirror.submit(make_checkpoint(1))
    mirror.drain(WAIT_SECONDS)
    attempt = list_attempts(folder)[0]
    for name in ("../../../evil", f"{tmp_path}/evil", "x/../../../../evil"):
        storage.put(f"runs/one/{attempt.folder}/{name}", b"")
    fetch(folder, tmp_path / "other")
    assert local_steps(tmp_path / "other") == [1]
    assert not list(tmp_path.rglob("evil"))


def test_checkpoints_that_were_not_sent_any_more_follow_at_the_next_start(
    mirror: BucketMirror,
    folder: BucketFolder,
    make_checkpoint: MakeCheckpoint,
) -> None:
    mirror.submit(make_checkpoint(1))
    mirror.drain(WAIT_SECONDS)
    make_checkpoint(2)
    damaged = make_checkpoint(3)
    (damaged.folder / "adapter.bin").write_bytes(b"")
    mirror.catch_up()
    mirror.drain(WAIT_SECONDS)
    assert found_steps(folder) == [2, 1]


def test_checkpoints_older_than_those_in_the_bucket_stay_away_from_it(
    mirror: BucketMirror, folder: BucketFolder, make_checkpoint: MakeCheckpoint
) -> None:
    make_checkpoint(1)
    mirror.submit(make_checkpoint(2))
    mirror.drain(WAIT_SECONDS)
    mirror.catch_up()
    mirror.drain(WAIT_SECONDS)
    assert found_steps(folder) == [2]


def test_a_local_checkpoint_that_is_damaged_is_fetched_again(
    mirror: BucketMirror,
    folder: BucketFolder,
    run_dir: Path,
    make_checkpoint: MakeCheckpoint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    checkpoint = make_checkpoint(1)
    mirror.submit(checkpoint)
    mirror.drain(WAIT_SECONDS)
    (checkpoint.folder / "adapter.bin").write_bytes(b"")
    fetch(folder, run_dir)
    assert not find_damage(checkpoint.folder)
    assert "is damaged" in caplog.text


def test_a_work_folder_with_another_run_is_refused(
    mirror: BucketMirror, folder: BucketFolder, run_dir: Path, tmp_path: Path
) -> None:
    finish(run_dir)
    mirror.publish()
    other = tmp_path / "other"
    shutil.copytree(run_dir, other)
    (other / "bucket.json").unlink()
    with pytest.raises(UsageError, match="another run"):
        fetch(folder, other)


def test_a_place_with_other_objects_is_refused(
    folder: BucketFolder, storage: FakeStorage, tmp_path: Path
) -> None:
    storage.put("runs/one/", b"")
    fetch(folder, tmp_path / "other")
    storage.put("runs/one/thesis.pdf", b"")
    with pytest.raises(UsageError, match=r"thesis\.pdf"):
        fetch(folder, tmp_path / "other")


def test_clear_removes_the_run_and_nothing_else(
    mirror: BucketMirror,
    storage: FakeStorage,
    run_dir: Path,
    make_checkpoint: MakeCheckpoint,
) -> None:
    storage.put("runs/one/thesis.pdf", b"")
    mirror.submit(make_checkpoint(1))
    finish(run_dir)
    mirror.publish()
    before = open_link(run_dir, URL)
    mirror.clear()
    assert storage.names() == [f"runs/one/{LEASE}", "runs/one/thesis.pdf"]
    assert open_link(run_dir, URL).run != before.run


def test_the_thread_of_a_mirror_does_not_keep_the_process_alive(mirror: BucketMirror) -> None:
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("gemtune")]
    assert ours
    assert all(thread.daemon for thread in ours)


@pytest.fixture(autouse=True)
def shown_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
