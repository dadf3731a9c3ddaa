"""The benchmark of the search, with a tiny model: it runs, and its tables hold everybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "hpo.py"


@pytest.mark.slow
def test_the_benchmark_compares_everybody_in_every_track() -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "--quick", "--threads", "1"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in done.stdout.splitlines()
        if line.startswith("| ")
    ]
    systems = [row for row in rows if len(row) == 6 and row[0] != "who"]
    searches = [row for row in rows if len(row) == 9 and row[0] != "track"]
    assert [row[0].split()[0] for row in systems] == ["the", "HF", "gemtune"]
    assert [(row[0], row[2].split()[0]) for row in searches] == [
        ("trials", "the"), ("trials", "HF"), ("trials", "gemtune"), ("trials", "gemtune"),
        ("trials", "gemtune"),
        ("budget", "the"), ("budget", "HF"), ("budget", "gemtune"),
    ]  # fmt: skip
    assert all(0 < float(row[-1]) < 10 for row in searches)
