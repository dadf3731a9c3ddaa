"""A fake bucket server, and the real client library pointed at it."""

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from vertex.fake_storage import BUCKET, FAST, FakeStorage, serving

from gemtune.runs.checkpoints import Checkpoint, commit_checkpoint
from gemtune.vertex.clients import open_bucket
from gemtune.vertex.folder import BucketFolder

MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStorage]:
    found = FakeStorage()
    with serving(found) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        yield found


@pytest.fixture
def folder(storage: FakeStorage) -> Iterator[BucketFolder]:
    with open_bucket(BUCKET) as bucket:
        yield BucketFolder(bucket, "runs/one", FAST)


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """Let the library forget to close the answers 429 and 503 to its downloads."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """Commit a small checkpoint of a step below a run folder."""

    def make(step: int, run_dir: Path = tmp_path / "run") -> Checkpoint:
        def write(folder: Path) -> None:
            (folder / "state.json").write_text(f'{{"step": {step}}}')
            (folder / "adapter.bin").write_bytes(bytes([step % 256]) * 1000)

        return commit_checkpoint(run_dir / "checkpoints", step, write)

    return make
