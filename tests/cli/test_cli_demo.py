"""The demo as a newcomer types it; with the real model only among the slow tests."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemtune.cli import app, demo


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    yield
    logging.getLogger("gemtune").handlers = []
    logging.getLogger("gemtune").setLevel(logging.NOTSET)


def test_the_demo_trains_compares_shows_answers_and_names_the_next_command(
    tiny_llama_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = (
        f"fine_tuning.model={tiny_llama_dir}",
        "fine_tuning.training.max_steps=1",
        "evaluation.max_new_tokens=2",
        "evaluation.bootstrap_samples=100",
        "data.max_length=256",
    )
    monkeypatch.setattr(demo, "_SETTINGS", (*demo._SETTINGS, *small))
    folder = tmp_path / "demo"
    # Two tokens are no answer, so nothing is proven.
    assert app.run(["demo", str(folder)]) == 10
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"the task: support tickets into records, {folder}/data/train.jsonl"
    assert any(line.startswith("trained 1 steps, ") for line in shown)
    assert f"the adapter is in {folder}/model" in shown
    named = ["input", "wanted", "base", "tuned"]
    labels = [line.split()[0] for line in shown if line.startswith("  ")]
    assert [label for label in labels if label in named] == named * 2
    assert shown[-3] == f"the report is {folder}/comparison/report.html"
    assert shown[-2] == f"next: gemtune report {folder}/comparison --open"
    assert shown[-1].startswith("with your data: gemtune data check YOUR_DATA_DIR")
    assert sorted(path.name for path in folder.iterdir()) == ["comparison", "data", "model"]
    for words, line in ((["--overwrite"], "trained 1 steps, "), ([], "nothing to do: ")):
        assert app.run(["demo", str(folder), *words]) == 10
        assert capsys.readouterr().out.splitlines()[1].startswith(line)


def test_a_folder_with_other_data_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "data" / "train.jsonl"
    mine.parent.mkdir()
    mine.write_text("my only copy\n")
    assert app.run(["demo", str(tmp_path)]) == 2
    assert str(mine) in capsys.readouterr().err
    assert mine.read_text() == "my only copy\n"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_the_demo_proves_that_the_real_model_got_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["demo", str(tmp_path / "demo")]) == 0
    comparison = json.loads((tmp_path / "demo" / "comparison" / "comparison.json").read_text())
    assert comparison["verdict"] == "improved"
    assert "the report is" in capsys.readouterr().out
