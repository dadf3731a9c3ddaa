"""Memory stays bounded, whatever the size of the file or of one line."""

import subprocess
import sys
from pathlib import Path

import pytest

ROW = b'{"input_text": "name[The Vaults], eatType[pub], area[%d]", "output_text": "%s"}\n'
# VmHWM and not ru_maxrss: the latter starts at the size of the process that started this one.
CHECK = """
import re, sys
from pathlib import Path
from gemtune.data.check import check_file
report = check_file(Path(sys.argv[1]))
peak_kib = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(report.n_examples, int(peak_kib) // 1024)
"""


def check_in_a_fresh_process(path: Path) -> tuple[int, int]:
    """Return the number of good rows and the peak of resident memory in MiB."""
    run = subprocess.run(
        [sys.executable, "-c", CHECK, path], capture_output=True, text=True, check=True
    )
    n_examples, peak_mib = map(int, run.stdout.split())
    return n_examples, peak_mib


@pytest.mark.parametrize(("n_rows", "n_answer_bytes"), [(250_000, 100), (10_000, 20_000)])
def test_a_large_file_is_checked_in_little_memory(
    tmp_path: Path, n_rows: int, n_answer_bytes: int
) -> None:
    path = tmp_path / "f.jsonl"
    with path.open("wb") as file:
        for number in range(n_rows):
            file.write(ROW % (number, b"x" * n_answer_bytes))
    n_examples, peak_mib = check_in_a_fresh_process(path)
    assert n_examples == n_rows
    assert peak_mib < 128


def test_a_line_of_300_mib_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    with path.open("wb") as file:
        file.write(ROW % (1, b"x"))
        file.truncate(300 << 20)
        file.seek(300 << 20)
        file.write(b"\n" + ROW % (2, b"x"))
    n_examples, peak_mib = check_in_a_fresh_process(path)
    assert n_examples == 2
    assert peak_mib < 128
