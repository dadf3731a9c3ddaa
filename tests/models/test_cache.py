"""The cache of converted models, with several processes and with builds that die."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gemtune.models.cache import cache_dir, cached_folder

BUILD = """
import sys, time
from gemtune.models.cache import cached_folder

def build(folder):
    with open(sys.argv[1], "a") as log:
        log.write("built\\n")
    time.sleep(0.5)
    (folder / "weights").write_text("whole")

print(cached_folder("tiny", build))
"""
DIE_WHILE_BUILDING = """
import os, signal
from gemtune.models.cache import cached_folder

def build(folder):
    (folder / "weights").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

cached_folder("tiny", build)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_whole(folder: Path) -> None:
    (folder / "weights").write_text("whole")


def test_two_processes_at_the_same_time_build_once_and_get_one_folder(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", BUILD, str(log)]

    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0] for process in both]

    assert answers[0] == answers[1]
    assert log.read_text() == "built\n"
    assert (Path(answers[0].strip()) / "weights").read_text() == "whole"


def test_a_build_that_fails_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "weights").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_folder("tiny", fail)

    assert [path.name for path in (cache / "models").iterdir()] == ["tiny.lock"]


def test_what_a_killed_build_left_is_cleared_by_the_next(cache: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", DIE_WHILE_BUILDING], check=False, timeout=60)

    folder = cached_folder("tiny", write_whole)

    assert killed.returncode == -signal.SIGKILL
    assert (folder / "weights").read_text() == "whole"
    assert sorted(path.name for path in (cache / "models").iterdir()) == ["tiny", "tiny.lock"]


def test_other_users_may_read_a_cached_model_as_the_umask_says() -> None:
    umask = os.umask(0o022)
    try:
        folder = cached_folder("tiny", write_whole)
    finally:
        os.umask(umask)

    assert folder.stat().st_mode & 0o777 == 0o755


def test_the_cache_lies_in_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GEMTUNE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert cache_dir() == tmp_path / ".cache" / "gemtune"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "gemtune"
