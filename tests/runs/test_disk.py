"""A disk that is too small is told before anything is written, with all figures."""

from pathlib import Path

import pytest

from gemtune.errors import ResourceError
from gemtune.runs.disk import require_space

EXBIBYTE = 2**60


def test_enough_space_is_silent(tmp_path: Path) -> None:
    require_space(tmp_path / "not" / "there" / "yet", 1, "the checkpoints")


def test_too_little_space_names_the_path_what_it_is_for_and_the_bytes(tmp_path: Path) -> None:
    with pytest.raises(ResourceError) as caught:
        require_space(tmp_path / "run", EXBIBYTE, "the checkpoints")
    assert caught.value.exit_code == 6
    message = str(caught.value)
    needed = "1,152,921,504,606,846,976 bytes (1,099,511,627,776.0 MiB)"
    assert message.startswith(f"{tmp_path / 'run'}: the checkpoints need {needed}, ")
    assert message.endswith(" MiB) are free")


def test_a_relative_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_space(Path("run"), 1, "the checkpoints")
