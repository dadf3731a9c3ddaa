"""Which files of a folder are read, and what is said about the others."""

from pathlib import Path

import pytest

from gemtune.data.files import DataFiles, find_data_files
from gemtune.errors import DataError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_all_three_splits_are_found(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl", "validation.jsonl", "test.jsonl", "test2.jsonl", "README.md")
    files = find_data_files(tmp_path)
    assert files.val == tmp_path / "validation.jsonl"
    assert list(files.splits()) == ["train", "val", "test"]


def test_the_training_data_alone_is_enough(tmp_path: Path) -> None:
    touch(tmp_path, "train.jsonl")
    assert find_data_files(tmp_path) == DataFiles(tmp_path / "train.jsonl", None, None)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["notes.jsonl"], "holds no train.jsonl; found: notes.jsonl"),
        ([], "holds no train.jsonl; found: no .jsonl files"),
        (["training.jsonl"], "training.jsonl would not be read as train data"),
        (["Train.jsonl"], "Train.jsonl would not be read as train data"),
        (["train.jsonl.gz"], "train.jsonl.gz would not be read as train data"),
        (["train.jsonl", "valid.jsonl"], "the name must be val.jsonl"),
        (["train.jsonl", "test.json"], "the name must be test.jsonl"),
        (["train.jsonl", "val.jsonl", "validation.jsonl"], "both val.jsonl and validation.jsonl"),
    ],
)
def test_a_split_that_would_be_overlooked_is_an_error(
    tmp_path: Path, names: list[str], message: str
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError) as caught:
        find_data_files(tmp_path)
    assert message in str(caught.value)
    assert caught.value.fix


def test_a_folder_that_is_missing_or_a_file_is_named_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "training_data").mkdir()
    touch(tmp_path, "train.jsonl")
    with pytest.raises(DataError, match="no such folder") as missing:
        find_data_files(tmp_path / "trainin_data")
    assert missing.value.fix == f"did you mean {tmp_path / 'training_data'}?"
    with pytest.raises(DataError, match="is a file, not a folder") as file:
        find_data_files(tmp_path / "train.jsonl")
    assert file.value.fix == f"give the folder: {tmp_path}"
