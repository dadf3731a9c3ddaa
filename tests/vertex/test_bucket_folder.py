"""Files go in and out whole, in bounded time, whatever the server does."""

import time
from pathlib import Path

import pytest
from vertex.fake_storage import FAST, PART_BYTES, FakeStorage, Fault

from gemtune.errors import GemtuneError, PrerequisiteError, RemoteError
from gemtune.vertex.clients import open_bucket
from gemtune.vertex.folder import BucketFolder, Limits, file_checksum

# Above what the client library sends in one request.
LARGE_BYTES = 8 * 2**20 + 3 * PART_BYTES // 2
NAME = "a/b.bin"
OBJECT = f"runs/one/{NAME}"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"0123456789" * 50)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (LARGE_BYTES // 256))
    return path


def test_a_file_comes_back_as_it_was_sent(
    folder: BucketFolder, small: Path, large: Path, tmp_path: Path
) -> None:
    for source in (small, large):
        folder.upload_new(source, source.name)
        assert folder.download(source.name, tmp_path / "back" / source.name)
        assert (tmp_path / "back" / source.name).read_bytes() == source.read_bytes()
        assert folder.checksum(source.name) == file_checksum(source)


def test_all_names_are_listed_over_several_pages(folder: BucketFolder, small: Path) -> None:
    for n in range(11):
        folder.upload_new(small, f"x/{n:02d}")
    folder.upload_new(small, "y")
    assert folder.names("x/") == [f"x/{n:02d}" for n in range(11)]
    assert len(folder.names()) == 12


def test_the_folder_beside_it_with_a_longer_name_is_not_listed(
    folder: BucketFolder, storage: FakeStorage
) -> None:
    storage.put("runs/one-more/x", b"")
    assert folder.names() == []


@pytest.mark.parametrize("kind", ["429", "503", "500", "408", "reset", "lose-answer", "corrupt"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_an_upload_outlives_a_fault(
    folder: BucketFolder,
    storage: FakeStorage,
    request: pytest.FixtureRequest,
    kind: str,
    size: str,
) -> None:
    source: Path = request.getfixturevalue(size)
    storage.faults = [Fault(kind, "POST" if size == "small" else "PUT", "b.bin", count=2)]
    folder.upload_new(source, NAME)
    assert storage.objects[OBJECT].content == source.read_bytes()


@pytest.mark.usefixtures("forgotten_sockets")
@pytest.mark.parametrize("kind", ["429", "503", "reset", "lose-answer", "corrupt"])
def test_a_download_outlives_a_fault(
    folder: BucketFolder, storage: FakeStorage, tmp_path: Path, kind: str
) -> None:
    storage.put(OBJECT, b"content")
    storage.faults = [Fault(kind, "GET", "b.bin", count=2)]
    assert folder.download(NAME, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"


def test_an_object_that_arrives_damaged_each_time_is_not_taken(
    folder: BucketFolder, storage: FakeStorage, tmp_path: Path
) -> None:
    storage.put(OBJECT, b"content")
    storage.faults = [Fault("corrupt", "GET", "b.bin", count=99)]
    assert not folder.download(NAME, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.usefixtures("forgotten_sockets")
@pytest.mark.parametrize("kind", ["hang", "503", "reset"])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_server_that_never_recovers_ends_in_an_error_in_bounded_time(
    folder: BucketFolder, storage: FakeStorage, small: Path, tmp_path: Path, kind: str, method: str
) -> None:
    quick = folder.within(Limits(0.2, 0.2, 0.2, PART_BYTES, 0.3, 0.01))
    storage.put(OBJECT, b"content")
    storage.faults = [Fault(kind, method, count=999)]
    calls = {
        "POST": lambda: quick.upload(small, NAME),
        "GET": lambda: quick.download(NAME, tmp_path / "back"),
        "DELETE": lambda: quick.delete(NAME),
    }
    started = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        calls[method]()
    assert time.monotonic() - started < 2
    assert "gs://shelf/runs/one" in str(caught.value)
    assert "same command" in caught.value.fix


@pytest.mark.parametrize(
    ("status", "fix"), [("401", "application-default login"), ("403", "storage.objectUser")]
)
def test_a_refusal_is_said_at_once_and_not_repeated(
    folder: BucketFolder, storage: FakeStorage, small: Path, status: str, fix: str
) -> None:
    storage.faults = [Fault(status, "POST", count=99)]
    with pytest.raises(PrerequisiteError) as caught:
        folder.upload_new(small, NAME)
    assert fix in caught.value.fix
    assert len(storage.log) == 1


def test_a_bucket_that_is_not_there_is_named(storage: FakeStorage) -> None:
    with (
        open_bucket("other") as bucket,
        pytest.raises(PrerequisiteError, match=r"^gs://other: there is no such bucket"),
    ):
        BucketFolder(bucket, "runs", FAST).names()


def test_a_taken_name_is_never_written_over(
    folder: BucketFolder, storage: FakeStorage, small: Path
) -> None:
    storage.put(OBJECT, b"of somebody else")
    with pytest.raises(GemtuneError):
        folder.upload_new(small, NAME)
    assert storage.objects[OBJECT].content == b"of somebody else"


def test_metadata_stays_with_an_object(folder: BucketFolder, small: Path) -> None:
    assert folder.metadata(NAME) is None
    folder.upload(small, NAME, {"run": "7"})
    assert folder.metadata(NAME) == {"run": "7"}


def test_a_record_is_written_only_over_the_generation_that_was_read(folder: BucketFolder) -> None:
    first = folder.write("record", b"1", generation=0)
    assert first
    assert folder.read("record") == (b"1", first)
    assert folder.write("record", b"2", generation=0) is None
    assert folder.write("record", b"2", generation=first)
    folder.delete("record", generation=first)
    assert folder.read("record")


def test_a_record_whose_answer_was_lost_counts_as_written(
    folder: BucketFolder, storage: FakeStorage
) -> None:
    storage.faults = [Fault("lose-answer", "POST", "record")]
    assert folder.write("record", b"1", generation=0)


def test_deleting_what_is_gone_is_no_error(folder: BucketFolder) -> None:
    folder.delete("nothing")
