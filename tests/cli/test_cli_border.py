"""What the operating system refuses, in words and exit codes."""

import errno
import os
import re
import resource
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
    ("code", "what"),
    [
        (errno.EIO, "the disk failed: Input/output error"),
        (errno.ENXIO, "the disk failed: No such device or address"),
        (errno.EFBIG, "a limit on file size forbids to write this much"),
    ],
)
def test_a_disk_that_fails_is_exit_code_6_and_names_what_was_to_be_written(
    code: int, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copying = OSError(code, os.strerror(code), "from", None, "runs/a/to")
    assert report_error(copying, debug=False) == 6
    error, fix = capsys.readouterr().err.splitlines()
    assert error == f"error: runs/a/to: {what}"
    assert fix.endswith("then run it again")


def test_a_full_disk_that_a_library_tells_of_in_words_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = Exception("No space left on device (os error 28)")
    assert report_error(words, debug=False) == 6
    assert "no space is left" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        RuntimeError("CUDA error: out of memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ],
    ids=repr,
)
def test_too_little_memory_is_exit_code_6_whatever_says_so(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error, debug=False) == 6
    assert capsys.readouterr().err.startswith("error: out of memory")


@pytest.mark.parametrize(("limit", "exit_code"), [(2**40, 6), (resource.RLIM_INFINITY, 1)])
def test_an_exception_that_python_lost_is_lack_of_memory_where_memory_is_limited(
    limit: int, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    lost = SystemError("error return without exception set")
    assert report_error(lost, debug=False) == exit_code


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
    assert report_error(refusal(errno.EBADF, "runs/a"), debug=False) == 1
    assert "this is a bug in gemtune" in capsys.readouterr().err


def test_a_bug_is_told_even_if_no_traceback_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))
    assert report_error(KeyError("x"), debug=False) == 1
    error, fix = capsys.readouterr().err.splitlines()
    assert error == "error: this is a bug in gemtune: KeyError: 'x'"
    assert fix == "fix: please report it with what --debug shows"
