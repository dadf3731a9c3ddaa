"""`evaluate` and `compare` as a user types them, with a tiny model."""

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemtune.cli import app


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    yield
    logging.getLogger("gemtune").handlers = []
    logging.getLogger("gemtune").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rows of each split."""
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "val", "test"):
        rows = [{"input_text": f"{split} {i}?", "output_text": "blue"} for i in range(12)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def settings(tiny_llama_dir: Path) -> list[str]:
    """A run that learns `blue` in a few seconds."""
    return [
        f"fine_tuning.model={tiny_llama_dir}",
        "fine_tuning.training.precision=fp32",
        "fine_tuning.training.learning_rate=2e-2",
        "fine_tuning.training.max_steps=60",
        "fine_tuning.training.epochs=60",
        "fine_tuning.training.eval_every_steps=60",
        "evaluation.precision=fp32",
        "evaluation.primary_metric=exact_match",
    ]


@pytest.fixture(scope="module")
def tuned(data_dir: Path, settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter of a finished run."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    assert app.run(["-q", "finetune", str(data_dir), str(folder), *settings]) == 0
    return folder


def test_evaluate_shows_the_scores_and_the_next_command(
    data_dir: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = data_dir / "test.jsonl"
    words = ["evaluate", str(tuned), str(test), "--output-dir", str(tmp_path / "scores")]
    assert app.run([*words, "evaluation.precision=fp32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rouge1", "1.0000"]
    assert lines[-2] == f"answers and scores are in {tmp_path / 'scores'}"
    assert lines[-1] == f"next: gemtune compare BASE {tuned} {test}"
    assert (tmp_path / "scores" / "metrics.json").exists()


def test_evaluate_as_json_is_the_metrics(
    data_dir: Path, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(tuned), str(data_dir / "test.jsonl"), "--json"]
    assert app.run([*words, "evaluation.precision=fp32"]) == 0
    assert json.loads(capsys.readouterr().out)["exact_match"] == 1.0


def test_a_folder_is_not_taken_for_the_alias_of_the_same_name(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2-135m").mkdir()
    assert app.run(["evaluate", "./smollm2-135m", str(data_dir / "test.jsonl")]) == 4
    assert "model folder smollm2-135m holds neither" in capsys.readouterr().err


def test_compare_proves_a_gain_with_exit_code_0(
    data_dir: Path,
    tuned: Path,
    tiny_llama_dir: Path,
    settings: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["compare", str(tiny_llama_dir), str(tuned), str(data_dir / "test.jsonl"), *settings]
    assert app.run([*words, "--output-dir", str(tmp_path / "both")]) == 0
    out = capsys.readouterr().out
    assert "Improved: the tuned model is better" in out
    assert out.splitlines()[-2:] == [
        f"the report is {tmp_path}/both/report.html",
        f"next: gemtune report {tmp_path}/both --open",
    ]
    assert (tmp_path / "both" / "report.html").exists()


def test_compare_without_a_gain_is_exit_code_10(
    data_dir: Path, tuned: Path, settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    test = str(data_dir / "test.jsonl")
    words = ["compare", str(tuned), str(tuned), test, "--json", *settings]
    assert app.run(words) == 10
    assert json.loads(capsys.readouterr().out)["verdict"] == "no evidence"


def test_a_comparison_of_a_run_lies_in_it_and_the_run_stays_what_it_was(
    data_dir: Path,
    settings: list[str],
    tiny_llama_dir: Path,
    tuned: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_dir = shutil.copytree(tuned, tmp_path / "run", ignore=lambda *_: ["comparison"])
    test = str(data_dir / "test.jsonl")
    words = ["compare", str(tiny_llama_dir), str(run_dir), test, *settings]
    assert app.run(words) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"next: gemtune report {run_dir}/comparison --open"
    assert (run_dir / "comparison" / "report.html").exists()
    found = json.loads((run_dir / "comparison" / "comparison.json").read_bytes())
    assert found["contamination"]["train_data"].endswith("train.jsonl")
    assert app.run(["verify", str(run_dir)]) == 0
    assert app.run(["finetune", str(data_dir), str(run_dir), *settings]) == 0
    assert "nothing to do: this run is done" in capsys.readouterr().out


def test_the_same_comparison_again_answers_nothing_and_says_so(
    data_dir: Path,
    tuned: Path,
    tiny_llama_dir: Path,
    settings: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "both"
    test = str(data_dir / "test.jsonl")
    words = ["compare", str(tiny_llama_dir), str(tuned), test, "--output-dir", str(out), *settings]
    assert app.run([*words, "--no-report"]) == 0
    first = capsys.readouterr()
    assert not (out / "report.html").exists()
    assert app.run(words) == 0
    again = capsys.readouterr()
    assert "tuned: nothing to do: all 12 answers are there" in again.err
    assert "base: nothing to do: all 12 answers are there" in again.err
    assert again.out.splitlines()[:6] == first.out.splitlines()[:6]


def test_other_answers_in_the_folder_are_kept_without_overwrite(
    data_dir: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(tuned), str(data_dir / "test.jsonl"), "--output-dir"]
    words += [str(tmp_path / "out"), "evaluation.precision=fp32"]
    assert app.run([*words, "evaluation.max_new_tokens=9"]) == 0
    assert app.run(words) == 4
    error = capsys.readouterr().err
    assert "evaluation.max_new_tokens: 9 -> 8" in error
    assert "--overwrite" in error
    assert app.run([*words, "--overwrite"]) == 0


def test_other_runs_and_training_data_are_taken_from_the_command_line(
    data_dir: Path,
    tuned: Path,
    tiny_llama_dir: Path,
    settings: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["compare", str(tiny_llama_dir), str(tuned), str(data_dir / "test.jsonl"), *settings]
    words += ["--output-dir", str(tmp_path / "both"), "--also-tuned", str(tuned), "--json"]
    words += ["--train-data", str(data_dir / "val.jsonl")]
    assert app.run(words) in (0, 10)
    found = json.loads(capsys.readouterr().out)
    assert found["contamination"]["train_data"] == str(data_dir / "val.jsonl")
    assert len(found["seeds"]["scores"]) == 2
    assert (tmp_path / "both" / "tuned-2" / "metrics.json").exists()


def test_a_judge_without_an_account_is_told_before_models_answer(
    data_dir: Path, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(tuned), str(tuned), str(data_dir / "test.jsonl")]
    assert app.run([*words, "evaluation.judge.model=gemini-2.5-flash"]) in (2, 9)
    assert "evaluation.judge" in (error := capsys.readouterr().err)
    assert "answers" not in error
