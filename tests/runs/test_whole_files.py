"""Files and folders are replaced whole or not at all."""

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest

from gemtune.runs.files import write_bytes, write_json, write_text
from gemtune.runs.folders import install_files, replace_folder


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


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "best"
    replace_folder(folder, lambda new: (new / "old").touch())
    replace_folder(folder, lambda new: (new / "new").touch())
    assert names(tmp_path) == ["deep", "deep/best", "deep/best/new"]


def test_a_folder_stays_when_writing_its_successor_fails(tmp_path: Path) -> None:
    def fail(new: Path) -> None:
        (new / "half").touch()
        raise KeyError

    folder = tmp_path / "best"
    replace_folder(folder, lambda new: (new / "old").touch())
    with pytest.raises(KeyError):
        replace_folder(folder, fail)
    assert names(tmp_path) == ["best", "best/old"]


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
    replace_folder(source / "deep", lambda new: (new / "a").touch())
    target.mkdir()
    for _ in range(2):
        install_files(source, target)
        assert names(target) == ["deep", "deep/a"]
