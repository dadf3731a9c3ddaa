"""Files are replaced whole or not at all, and killed writes leave nothing for long."""

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest

from gemtune.runs.files import (
    make_folder,
    partial_path,
    remove_partial_files,
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
    for name in (".run.json.x7.partial", "notes.partial", ".hidden", partial_path(Path("a")).name):
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
