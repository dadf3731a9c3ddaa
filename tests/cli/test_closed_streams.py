"""Nobody listens: the work is done all the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READER_GONE = """
import os, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 2)
from gemtune.cli import main
sys.exit(main())
"""
STREAMS_CLOSED = """
import os, sys
os.execv(sys.executable, [sys.executable, "-m", "gemtune", *sys.argv[1:]])
"""


@pytest.fixture
def words(tiny_llama_dir: Path, tmp_path: Path) -> list[str]:
    rows = [{"input_text": f"say {i}", "output_text": f"number {i}"} for i in range(12)]
    test_data = tmp_path / "test.jsonl"
    test_data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [
        "evaluate", str(tiny_llama_dir), str(test_data), "--output-dir", str(tmp_path / "out"),
        "evaluation.max_new_tokens=8", "evaluation.batch_tokens=80",
        "monitoring.progress_every_seconds=0.001",
    ]  # fmt: skip


def run(program: str, words: list[str], close: tuple[int, ...]) -> int:
    def close_streams() -> None:
        for number in close:
            os.close(number)

    return subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, check=False, timeout=120,
        stdout=None if close else subprocess.DEVNULL, stderr=None if close else subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": "src"}, preexec_fn=close_streams,
    ).returncode  # fmt: skip


@pytest.mark.parametrize(
    ("program", "close"),
    [(READER_GONE, ()), (STREAMS_CLOSED, (2,)), (STREAMS_CLOSED, (0, 1, 2))],
    ids=["reader of stderr gone", "stderr closed", "all closed"],
)
def test_an_evaluation_that_nobody_watches_ends_as_any_other(
    program: str, close: tuple[int, ...], words: list[str], tmp_path: Path
) -> None:
    assert run(program, words, close) == 0

    assert json.loads((tmp_path / "out" / "metrics.json").read_bytes())["n_examples"] == 12
    # Nothing that was meant for a closed stream got into a file.
    for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines():
        assert "prediction" in json.loads(line)


def test_an_error_that_nobody_reads_has_its_exit_code(words: list[str]) -> None:
    assert run(READER_GONE, [*words, "evaluation.batch_tokens=none"], ()) == 2
