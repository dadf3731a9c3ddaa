"""Speed and memory of data validation, beside a plain `json.loads` loop over the same file.

Run: python benchmarks/data_check.py [--rows N | --gib N]

Each figure comes from a fresh process on one core; the file is synthetic, in a temporary folder.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gemtune.data.check import check_file

_AREAS = ("city centre", "riverside")
_FOODS = ("Chinese", "English", "Fast food", "French", "Indian", "Italian", "Japanese")
_STARS = ("low", "average", "high", "1 out of 5", "3 out of 5", "5 out of 5")


def write_rows(path: Path, *, max_rows: int, max_bytes: int) -> int:
    """Write restaurant rows of about 170 bytes until one limit is reached; returns their number."""
    chosen = random.Random(0)
    n_bytes = n_rows = 0
    with path.open("wb") as file:
        while n_rows < max_rows and n_bytes < max_bytes:
            food, area, stars = map(chosen.choice, (_FOODS, _AREAS, _STARS))
            row = {
                "input_text": f"name[Place {n_rows}], food[{food}], area[{area}], rating[{stars}]",
                "output_text": f"Place {n_rows} serves {food} food in the {area}, rated {stars}.",
            }
            n_bytes += file.write(json.dumps(row).encode() + b"\n")
            n_rows += 1
    return n_rows


def parse_file(path: Path) -> None:
    """Do the least that any reader must do."""
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def validate_file(path: Path) -> None:
    """Check a file as `gemtune data check --no-tokens` does."""
    report = check_file(path)
    assert report.n_errors == 0


_MEASURED: dict[str, Callable[[Path], None]] = {
    "json.loads": parse_file,
    "check_file": validate_file,
}


def measure(name: str, path: Path) -> tuple[float, float]:
    """Run one candidate in a fresh process; returns seconds and peak MiB of resident memory."""
    command = [sys.executable, __file__, "--measure", name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak_mib = map(float, done.stdout.split())
    return seconds, peak_mib


def print_measurement(name: str, path: Path) -> None:
    """Time one candidate in this process."""
    started = time.perf_counter()
    _MEASURED[name](path)
    seconds = time.perf_counter() - started
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def print_table(max_rows: int, max_bytes: int) -> None:
    """Generate the file, measure both candidates in turn, print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        n_rows = write_rows(path, max_rows=max_rows, max_bytes=max_bytes)
        size = path.stat().st_size
        print(f"{n_rows:,} rows, {size / 2**30:.2f} GiB, {size / n_rows:.0f} bytes a row\n")
        results = {name: measure(name, path) for name in _MEASURED}
    print("| | rows/min | peak RSS (MiB) | time / json.loads |")
    print("|---|---|---|---|")
    for name, (seconds, peak_mib) in results.items():
        ratio = seconds / results["json.loads"][0]
        print(f"| {name} | {n_rows / seconds * 60:,.0f} | {peak_mib:.0f} | {ratio:.1f} |")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="size of the file in rows")
    parser.add_argument("--gib", type=float, help="size of the file in GiB, instead of rows")
    parser.add_argument("--measure", nargs=2, metavar=("NAME", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print_measurement(options.measure[0], Path(options.measure[1]))
    elif options.gib:
        print_table(max_rows=sys.maxsize, max_bytes=int(options.gib * 2**30))
    else:
        print_table(max_rows=options.rows, max_bytes=sys.maxsize)


if __name__ == "__main__":
    main()
