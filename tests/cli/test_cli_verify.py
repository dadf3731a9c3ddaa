"""`gemtune verify` says what is damaged, ends with 4 then, and is light."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_checkpoint import commit_small

from gemtune.cli.app import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return commit_small(tmp_path / "out" / "checkpoints", 5).folder


@pytest.fixture
def out(checkpoint: Path) -> Path:
    """A run that was killed after a checkpoint."""
    folder = checkpoint.parents[1]
    (folder / "run.json").write_text('{"status": "running"}', encoding="utf-8")
    return folder


def test_a_good_run_ends_with_0(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: not finished (running): there is no result to check yet",
        f"{out / 'checkpoints' / 'step-00000005'}: good, 5 files",
        "all is as it was written",
    ]


def test_a_damaged_run_ends_with_4_and_names_the_files(
    out: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(checkpoint / "state.json", 0)
    assert run(["verify", str(out)]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == [
        f"{checkpoint}: DAMAGED",
        "  state.json: 0 bytes instead of 11",
        "1 of 2 folders is damaged",
    ]
    assert lines[4].startswith("next: restore the files from a copy")


def test_json_says_the_same_to_machines(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(checkpoint), "--json"]) == 0
    folder = {"folder": str(checkpoint), "damage": [], "note": "good, 5 files"}
    assert json.loads(capsys.readouterr().out) == {"ok": True, "folders": [folder]}
    (checkpoint / "state.json").unlink()
    assert run(["verify", str(checkpoint), "--json"]) == 4
    folder |= {"damage": ["state.json: missing"], "note": ""}
    assert json.loads(capsys.readouterr().out) == {"ok": False, "folders": [folder]}


def test_a_folder_that_is_not_there_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(tmp_path / "nowhere")]) == 2
    assert "is not there" in capsys.readouterr().err


def test_no_machine_learning_library_is_needed(checkpoint: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'safetensors', 'transformers', 'peft'): sys.modules[name] = None\n"
        "from gemtune.cli.app import run\n"
        f"sys.exit(run(['verify', {str(checkpoint)!r}]))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=env, timeout=60, check=False)
    assert done.returncode == 0
