"""Files are replaced whole or not at all, and killed writes leave nothing for long."""

import errno
import json
import math
import os
import stat
import sys
from pathlib import Path
from types import FrameType

import pytest

from gemtune.runs.files import (
    make_folder,
    naming,
    remove_partial_files,
    replacing,
    sync_folder,
    write_bytes,
    write_json,
    write_text,
)
from gemtune.runs.folders import install_files


def full_disk(_descriptor: int) -> None:
    """What the system answers when the disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"ä": [1, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ä": [1, None]}
    assert names(tmp_path) == ["a.json"]


def test_a_number_that_is_not_finite_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"a": math.nan})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1}


def test_a_full_disk_leaves_the_old_file_no_litter_and_the_path_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_bytes(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


# Of a file that a signal caught while it was opened.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_call_leaves_the_old_file_or_the_new_one_and_no_litter(
    tmp_path: Path,
) -> None:
    """The handler runs between two calls; so it does between making the file and removing it."""
    path = tmp_path / "a.txt"
    write_text(path, "old")
    n_calls, n_reached = 0, 1
    frames = "files.py", "pathlib.py"

    def strike(frame: FrameType, event: str, _: object) -> None:
        nonlocal n_calls
        if Path(frame.f_code.co_filename).name not in frames:
            return
        n_calls += 1
        if n_calls == n_reached:
            sys.setprofile(None)
            raise KeyboardInterrupt

    while True:
        n_calls = 0
        try:
            sys.setprofile(strike)
            write_text(path, "new")
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        assert path.read_text(encoding="utf-8") in ("old", "new")
        assert names(tmp_path) == ["a.txt"], n_reached
        write_text(path, "old")
        n_reached += 1
    assert n_reached > 20


def test_a_copy_that_fails_leaves_no_litter_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    (source / "a").touch()
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*/target/a'"):
        install_files(source, target)
    assert names(target) == []


def test_what_a_library_says_of_the_disk_in_words_only_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match="'somewhere'") as caught, naming(Path("somewhere")):
        # What `Tokenizer.save` raises.
        raise Exception("No space left on device (os error 28)")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(KeyError), naming(Path("somewhere")):
        raise KeyError("os error")


def test_a_file_that_is_written_in_parts_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text(encoding="utf-8") == ""
    assert path.read_text(encoding="utf-8") == "new"


def test_a_file_is_as_readable_as_any_other_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "other").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "other")]
    assert modes[0] == modes[1]


def test_installed_files_replace_their_namesakes_and_no_others(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder, text in ((source, "new"), (target, "old")):
        folder.mkdir()
        (folder / "a").write_text(text, encoding="utf-8")
    (target / "b").touch()
    install_files(source, target)
    assert (target / "a").read_text(encoding="utf-8") == "new"
    assert names(target) == ["a", "b"]


def test_a_folder_is_installed_with_all_below_it(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a").touch()
    target.mkdir()
    for _ in range(2):
        install_files(source, target)
        assert names(target) == ["deep", "deep/a"]


def test_names_that_are_left_out_are_not_installed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source / "deep", target):
        folder.mkdir(parents=True)
    for name in ("a", "b", "deep/b"):
        (source / name).touch()
    install_files(source, target, skip=["b"])
    assert names(target) == ["a", "deep", "deep/b"]


def test_what_killed_writes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".run.json.x7.partial", "notes.partial", ".hidden"):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert names(tmp_path) == [".hidden", "notes.partial"]


def test_a_folder_is_made_with_its_parents_and_may_be_there_already(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert names(tmp_path) == ["a", "a/b"]


def test_a_mount_that_cannot_sync_folders_is_accepted_and_a_broken_disk_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(code: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", lambda _descriptor: answer(errno.EINVAL))
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: answer(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)
