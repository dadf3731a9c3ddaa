"""How long light commands take to start, beside a Python that does nothing.

Run as `python benchmarks/startup.py [ROUNDS]` at the repository root. The commands run in turn,
round after round, so that a slow moment of the machine hits all of them alike. The processor
time is what a command costs by itself, whatever else the machine does.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# Command line, and the most seconds that its median may take.
COMMANDS: dict[str, tuple[list[str], float | None]] = {
    "python -c pass": (["-c", "pass"], None),
    "gemtune --help": (["-m", "gemtune", "--help"], 0.15),
    "gemtune config check": (["-m", "gemtune", "config", "check", "config/default.yaml"], 0.4),
}


def main() -> int:
    """Print the table; returns 1 when a command is over its budget."""
    n_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(n_rounds + 1):
        for name, (words, _) in COMMANDS.items():
            seconds[name].append(_time(words))
    print("| command | median s | min s | max s | processor s | budget s |")
    print("|---|---|---|---|---|---|")
    over_budget = False
    for name, (_, budget) in COMMANDS.items():
        # The first round fills the caches of the disk.
        times, processor_times = zip(*seconds[name][1:], strict=True)
        median, processor = statistics.median(times), statistics.median(processor_times)
        over_budget |= budget is not None and median > budget
        spread = f"{median:.3f} | {min(times):.3f} | {max(times):.3f}"
        print(f"| {name} | {spread} | {processor:.3f} | {budget or ''} |")
    return int(over_budget)


def _time(words: list[str]) -> tuple[float, float]:
    """Seconds on the clock, and seconds of processor time."""
    environment = {**os.environ, "PYTHONPATH": "src"}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    elapsed = time.perf_counter() - started
    now_used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = now_used.ru_utime + now_used.ru_stime - used.ru_utime - used.ru_stime
    return elapsed, processor


if __name__ == "__main__":
    sys.exit(main())
