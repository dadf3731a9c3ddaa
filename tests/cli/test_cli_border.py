"""What the operating system refuses, in words and exit codes."""

import errno
import os
import re
import tomllib
from pathlib import Path

import pytest

from gemtune.cli.border import report_error


def refusal(code: int, path: str | None) -> OSError:
    return OSError(code, os.strerror(code), path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_exit_code_6_and_names_the_path(
    code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(refusal(code, "runs/a/run.json"), debug=False) == 6
    error, fix = capsys.readouterr().err.splitlines()
    assert error == "error: runs/a/run.json: no space is left on the disk"
    assert fix.startswith("fix: free some space or choose a folder on another disk")


def test_a_full_disk_without_a_path_is_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(refusal(errno.ENOSPC, None), debug=False) == 6
    assert capsys.readouterr().err.startswith("error: no space is left on the disk\n")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.EPERM, "Operation not permitted"),
        (errno.EROFS, "Read-only file system"),
        (errno.ENOTDIR, "Not a directory"),
        (errno.EISDIR, "Is a directory"),
    ],
)
def test_a_place_that_cannot_be_used_is_exit_code_2_and_names_it(
    code: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(refusal(code, "runs/a"), debug=False) == 2
    error, fix = capsys.readouterr().err.splitlines()
    assert error == f"error: runs/a: {why}"
    assert fix.startswith("fix: ")


def local_modules() -> list[str]:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    extra = project["project"]["optional-dependencies"]["local"]
    return [re.split("[<>=]", requirement)[0] for requirement in extra]


@pytest.mark.parametrize("module", local_modules())
def test_a_missing_module_of_the_local_extra_is_exit_code_9_with_the_pip_line(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ModuleNotFoundError(f"No module named '{module}.part'", name=f"{module}.part")
    assert report_error(error, debug=False) == 9
    assert capsys.readouterr().err.splitlines() == [
        f"error: this command needs {module!r}, which is not installed",
        "fix: pip install 'gemtune[local]'",
    ]


def test_any_other_refusal_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert report_error(refusal(errno.EIO, "runs/a"), debug=False) == 1
    assert "this is a bug in gemtune" in capsys.readouterr().err
