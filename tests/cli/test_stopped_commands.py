"""SIGTERM and Ctrl-C in every phase of a command: how it ends, what it leaves, what it says."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gemtune.cli import app

ROOT = Path(__file__).resolve().parents[2]
SIGNAL_AT = Path(__file__).parent / "signal_at"
GEMTUNE = [sys.executable, "-m", "gemtune"]
AS_PROCESS_1 = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]


def run_until(
    point: str, *words: str, name: str = "SIGTERM", start: Sequence[str] = GEMTUNE
) -> subprocess.CompletedProcess[str]:
    """Run `start words`; the signal comes at `point`, which signal_at/sitecustomize.py explains."""
    environment = {"SIGNAL_AT": point, "SIGNAL_NAME": name, "PYTHONPATH": f"src:{SIGNAL_AT}"}
    return subprocess.run(
        [*start, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **environment},
        # A test run in the background ignores it, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def last_words(process: subprocess.CompletedProcess[str]) -> list[str]:
    assert "Traceback" not in process.stderr
    return process.stderr.splitlines()[-2:]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a name that a shell would take apart."""
    folder = tmp_path / "my data"
    folder.mkdir()
    rows = [{"input_text": f"say {i}", "output_text": f"number {i}"} for i in range(12)]
    for name in ("train", "test"):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("name", "code", "what"),
    [("SIGTERM", 75, "stopped by SIGTERM"), ("SIGINT", 130, "interrupted")],
)
@pytest.mark.parametrize(
    "point", ["import gemtune.cli.app", "import click", "import pydantic", "open train.jsonl"]
)
def test_a_stopped_command_says_what_is_safe_and_what_to_type(
    point: str, name: str, code: int, what: str, data: Path
) -> None:
    words = ["data", "check", str(data), "--no-tokens"]
    process = run_until(point, *words, name=name)
    assert process.returncode == code
    assert last_words(process) == [
        f"{what}; what was finished is kept, and no file is half-written",
        f"next: run the same command again: gemtune {shlex.join(words)}",
    ]


def test_a_stop_is_said_of_a_run_that_would_begin_anew(data: Path, tmp_path: Path) -> None:
    words = ["finetune", str(data), str(tmp_path / "run"), "--overwrite"]
    process = run_until("import gemtune.config.load", *words)
    assert "without --overwrite it goes on where this run stopped" in last_words(process)[1]


def test_ctrl_c_that_the_parent_ignores_does_not_stop_a_command(data: Path) -> None:
    words = shlex.join([*GEMTUNE, "data", "check", str(data), "--no-tokens"])
    ignoring = ["sh", "-c", f"trap '' INT; exec {words}"]
    assert run_until("open train.jsonl", name="SIGINT", start=ignoring).returncode == 0


def test_the_first_process_of_a_container_is_stopped_too(data: Path) -> None:
    if subprocess.run([*AS_PROCESS_1, "true"], capture_output=True).returncode:
        pytest.skip("needs user and process-id name spaces, which this machine does not give")
    start = [*AS_PROCESS_1, *GEMTUNE]
    process = run_until("open train.jsonl", "data", "check", str(data), "--no-tokens", start=start)
    assert process.returncode == 75
    assert last_words(process)[0].startswith("stopped by SIGTERM")


def test_a_stop_while_torch_is_imported_is_no_bug(data: Path, tiny_llama_dir: Path) -> None:
    process = run_until("import torch.nn", "evaluate", str(tiny_llama_dir), f"{data}/test.jsonl")
    assert process.returncode == 75
    assert last_words(process)[0].startswith("stopped by SIGTERM")


@pytest.mark.parametrize(
    ("point", "n_rows"),
    [("open config.json", None), ("open predictions.jsonl#3", 4), ("open .metrics.json.", 12)],
    ids=["loading the model", "answering", "writing the result"],
)
def test_a_stopped_evaluation_leaves_whole_rows_and_can_run_again(
    point: str, n_rows: int | None, data: Path, tiny_llama_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [
        "evaluate", str(tiny_llama_dir), f"{data}/test.jsonl", "--output-dir", str(out),
        "evaluation.max_new_tokens=8", "evaluation.batch_tokens=80",
    ]  # fmt: skip
    process = run_until(point, *words)
    assert process.returncode == 75, process.stderr
    assert last_words(process)[0].startswith("stopped by SIGTERM")
    if n_rows is None:
        assert not out.exists()
    else:
        assert not (out / "metrics.json").exists()
        lines = (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        assert len(lines) >= n_rows
        assert all(json.loads(line)["id"] and line.endswith("\n") for line in lines)
        assert [path for path in out.iterdir() if path.name.startswith(".")] == []
    assert app.run(words) == 0
    assert json.loads((out / "metrics.json").read_bytes())["n_examples"] == 12


def test_a_demo_that_was_stopped_while_it_wrote_its_data_starts_again(tmp_path: Path) -> None:
    words = ["demo", str(tmp_path / "demo")]
    stopped = run_until("open val.jsonl", *words)
    assert stopped.returncode == 75
    # It comes as far as the import, past the refusal to write over somebody's data.
    again = run_until("import torch.nn", *words)
    assert again.returncode == 75, again.stderr


def test_a_stopped_command_does_not_wait_for_threads_of_libraries() -> None:
    command = """
import os, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
from gemtune.cli import app, main
from gemtune.runs import signals

def download():
    with ThreadPoolExecutor() as pool:
        for _ in range(2):
            pool.submit(time.sleep, 300)
        os.kill(os.getpid(), signal.SIGTERM)

app.run, signals._REMIND_SECONDS = download, 0.3
sys.exit(main())
"""
    process = run_until("import nothing", start=[sys.executable, "-c", command])
    assert process.returncode == 75
    assert last_words(process)[0].startswith("stopped by SIGTERM")


def test_a_stopped_command_whose_messages_nobody_reads_ends_in_the_same_way(data: Path) -> None:
    """Ctrl-C ends `tee` in `gemtune ... 2>&1 | tee log` too."""
    command = """
import os, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 2)
from gemtune.cli import main
sys.exit(main())
"""
    words = ["data", "check", str(data), "--no-tokens"]
    process = run_until("open train.jsonl", *words, start=[sys.executable, "-c", command])
    assert process.returncode == 75


def test_a_system_that_gives_no_thread_is_out_of_resources_and_no_bug() -> None:
    command = """
import sys, threading
from gemtune.cli import main

def refuse(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse
sys.exit(main())
"""
    process = run_until("import nothing", start=[sys.executable, "-c", command])
    assert process.returncode == 6
    assert last_words(process)[0] == "error: out of memory: can't start new thread"
