"""The data that a model was trained on is found through the record of its run."""

import hashlib
import json
from pathlib import Path

import pytest

from gemtune.errors import UsageError
from gemtune.evaluation.comparing.training_data import find_train_data


@pytest.fixture
def run(tmp_path: Path) -> Path:
    data = tmp_path / "train.jsonl"
    data.write_text("rows\n")
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    record = {"status": "done", "data": {"train": {"path": str(data), "sha256": digest}}}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    return tmp_path / "run"


def test_a_run_tells_of_its_training_data(run: Path) -> None:
    assert find_train_data(run, None) == run.parent / "train.jsonl"


def test_what_the_user_names_wins(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text("rows\n")

    assert find_train_data(run, other) == other
    with pytest.raises(UsageError, match=r"absent\.jsonl: there is no such file"):
        find_train_data(run, tmp_path / "absent.jsonl")


def test_data_that_has_changed_since_is_not_looked_at_and_that_is_said(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run.parent / "train.jsonl").write_text("other rows\n")

    assert find_train_data(run, None) is None
    assert "--train-data" in caplog.text


@pytest.mark.parametrize("tuned", ["smollm2-135m", "org/name", "predictions.jsonl"])
def test_other_models_tell_of_none(
    tuned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert find_train_data(tuned, None) is None
