"""Committed whole, found by step, damaged ones put aside, old ones removed."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from small_checkpoint import commit_small, is_whole, small_files, small_writer

from gemtune.errors import NotFiniteError
from gemtune.runs.checkpoints import (
    Checkpoint,
    commit_checkpoint,
    keep_checkpoints,
    list_checkpoints,
    newest_checkpoint,
    was_ever_committed,
)
from gemtune.runs.manifest import write_manifest

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def truncate(checkpoint: Checkpoint, name: str = "state.json") -> None:
    os.truncate(checkpoint.folder / name, 1)


def test_a_checkpoint_is_a_folder_named_by_its_step_with_a_manifest(root: Path) -> None:
    checkpoint = commit_small(root, 12)
    assert checkpoint == Checkpoint(12, root / "step-00000012")
    assert names(root) == ["step-00000012"]
    assert is_whole(checkpoint)


def test_the_newest_is_that_of_the_highest_step_whatever_the_clock_says(root: Path) -> None:
    for step in (9, 100_000_000, 12):
        commit_small(root, step)
    for hour, step in enumerate((100_000_000, 12, 9)):
        os.utime(root / f"step-{step:08d}", (3_600 * hour, 3_600 * hour))
    found, told = newest_checkpoint(root)
    assert found is not None
    assert (found.step, told) == (100_000_000, [])


def test_a_good_checkpoint_is_never_written_again(root: Path) -> None:
    first = commit_small(root, 3)

    def fail(_folder: Path) -> None:
        pytest.fail("it was written again")

    assert commit_checkpoint(root, 3, fail) == first
    assert is_whole(first)


def test_a_damaged_checkpoint_of_the_same_step_is_put_aside_first(root: Path) -> None:
    for _ in range(2):
        truncate(commit_small(root, 3))
    assert is_whole(commit_small(root, 3))
    assert names(root) == [".bad-step-00000003", ".bad-step-00000003-2", "step-00000003"]


def test_a_failing_write_leaves_nothing(root: Path) -> None:
    def fail(folder: Path) -> None:
        small_writer(4)(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    commit_small(root, 3)
    with pytest.raises(OSError, match="No space left"):
        commit_checkpoint(root, 4, fail)
    assert names(root) == ["step-00000003"]


def test_weights_that_are_not_finite_are_not_kept(root: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "adapter_model.safetensors").write_bytes(save({"a": np.array([np.nan])}))

    with pytest.raises(
        NotFiniteError, match=r"step 4 was not kept: adapter_model\.safetensors: a "
    ):
        commit_checkpoint(root, 4, write)
    assert names(root) == []


def test_nothing_is_found_where_nothing_was_committed(root: Path) -> None:
    assert newest_checkpoint(root) == (None, [])
    assert not was_ever_committed(root)
    root.mkdir()
    (root / "notes").mkdir()
    assert newest_checkpoint(root) == (None, [])
    assert not was_ever_committed(root)


def test_a_damaged_newest_is_put_aside_and_told_and_the_one_before_is_used(root: Path) -> None:
    for step in (5, 10):
        commit_small(root, step)
    truncate(commit_small(root, 15))
    found, told = newest_checkpoint(root)
    assert found == Checkpoint(10, root / "step-00000010")
    assert told == [
        f"{root / 'step-00000015'} is damaged (state.json: 1 bytes instead of 12); "
        "it is .bad-step-00000015 now"
    ]
    assert names(root) == [".bad-step-00000015", "step-00000005", "step-00000010"]


def test_several_damaged_files_are_counted(root: Path) -> None:
    checkpoint = commit_small(root, 5)
    for name in small_files(5):
        truncate(checkpoint, name)
    _, (told,) = newest_checkpoint(root)
    assert "(adapter_config.json: 1 bytes instead of 9 and 4 more)" in told


def test_when_all_are_damaged_it_is_known_that_there_were_some(root: Path) -> None:
    for step in (5, 10):
        truncate(commit_small(root, step))
    found, told = newest_checkpoint(root)
    assert found is None
    assert len(told) == 2
    assert was_ever_committed(root)


def test_weights_that_are_not_finite_make_a_checkpoint_unusable(root: Path) -> None:
    commit_small(root, 5)
    folder = commit_small(root, 10).folder
    weights = save({"exp_avg": np.array([1, np.inf], np.float32)})
    (folder / "training_state.safetensors").write_bytes(weights)
    write_manifest(folder)
    found, (told,) = newest_checkpoint(root)
    assert found == Checkpoint(5, root / "step-00000005")
    assert "(training_state.safetensors: exp_avg is not finite)" in told


def test_a_checkpoint_under_the_name_of_another_step_is_damaged(root: Path) -> None:
    commit_small(root, 5).folder.rename(root / "step-00000010")
    found, (told,) = newest_checkpoint(root)
    assert found is None
    assert "(state.json: the state of step 5 instead of 10)" in told


@pytest.mark.parametrize("text", ["", "[5]", "{}", '{"step": "5"}', "[" * 100_000])
def test_a_state_without_its_step_is_damage(root: Path, text: str) -> None:
    folder = commit_small(root, 5).folder
    (folder / "state.json").write_text(text, encoding="utf-8")
    write_manifest(folder)
    found, (told,) = newest_checkpoint(root)
    assert found is None
    assert "state.json: " in told


def test_a_link_in_the_place_of_a_checkpoint_is_put_aside_and_not_followed(root: Path) -> None:
    folder = commit_small(root, 5).folder
    elsewhere = folder.rename(root.parent / folder.name)
    folder.symlink_to(elsewhere)
    found, (told,) = newest_checkpoint(root)
    assert found is None
    assert "(not a folder)" in told
    assert is_whole(Checkpoint(5, elsewhere))


def test_what_a_killed_process_left_is_removed(root: Path) -> None:
    commit_small(root, 5)
    for name in (".tmp-00000010-77", ".del-step-00000001"):
        (root / name).mkdir()
        (root / name / "half").touch()
    (root / ".tmp-link").symlink_to(root / "step-00000005")
    found, told = newest_checkpoint(root)
    assert found is not None
    assert (told, names(root)) == ([], ["step-00000005"])
    assert is_whole(found)


def test_what_a_killed_process_of_the_same_id_left_is_replaced(root: Path) -> None:
    left = root / f".tmp-00000005-{os.getpid()}"
    left.mkdir(parents=True)
    (left / "half").touch()
    assert is_whole(commit_small(root, 5))
    assert names(root) == ["step-00000005"]


def test_other_names_are_no_checkpoints(root: Path) -> None:
    for name in ("step-5", "step-000000005", "step-0000000x", "step-٠٠٠٠٠٠٠٥", "last"):
        (root / name).mkdir(parents=True)
    assert list_checkpoints(root) == []
    assert not was_ever_committed(root)


def test_all_but_the_named_steps_are_removed(root: Path) -> None:
    for step in (5, 10, 15, 20):
        commit_small(root, step)
    (root / ".bad-step-00000001").mkdir()
    keep_checkpoints(root, {5, 20, 99})
    assert names(root) == [".bad-step-00000001", "step-00000005", "step-00000020"]


def test_a_link_is_removed_without_what_it_points_to(root: Path) -> None:
    commit_small(root, 5)
    (root / "step-00000009").symlink_to(root / "step-00000005")
    keep_checkpoints(root, [5])
    assert names(root) == ["step-00000005"]
    assert is_whole(Checkpoint(5, root / "step-00000005"))


def test_a_checkpoint_that_may_not_be_read_is_not_put_aside(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_small(root, 5)

    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        newest_checkpoint(root)
    assert names(root) == ["step-00000005"]


COMMIT_MANY = """
import sys
from pathlib import Path
from small_checkpoint import commit_small, is_whole
sys.stdin.readline()
for step in range(1, 16):
    try:
        assert is_whole(commit_small(Path(sys.argv[1]), step))
    except OSError as error:
        assert error.errno in (17, 39), error
"""


def test_two_processes_that_commit_the_same_steps_never_mix_them(root: Path) -> None:
    start = [sys.executable, "-c", COMMIT_MANY, str(root)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent / "src"), str(TESTS)))}
    writers = [subprocess.Popen(start, stdin=subprocess.PIPE, env=env) for _ in range(2)]
    for writer in writers:
        writer.communicate(b"\n", timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert names(root) == [f"step-{step:08d}" for step in range(1, 16)]
    assert all(is_whole(checkpoint) for checkpoint in list_checkpoints(root))


def test_a_copy_without_times_is_as_good(root: Path, tmp_path: Path) -> None:
    for step in (5, 10):
        commit_small(root, step)
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)
    found, told = newest_checkpoint(tmp_path / "copy")
    assert found == Checkpoint(10, tmp_path / "copy" / "step-00000010")
    assert told == []


def test_the_state_names_its_step(root: Path) -> None:
    state = (commit_small(root, 7).folder / "state.json").read_text(encoding="utf-8")
    assert json.loads(state) == {"step": 7}
