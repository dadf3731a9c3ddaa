"""The same faults for gemtune and for HF Trainer + PEFT, as one Markdown table of k/n.

Run as `python benchmarks/fault_table.py` (some minutes) or with `--full` (hours). It needs strace
and the right to mount a tmpfs for two of the rows; a row that cannot be measured says so.
Both get the same model, rows, batch and number of steps; `benchmarks/peers/hf_trainer.py` names the
peer's settings. Attempts are children of a process that has torch imported already.
"""

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

# The tests and this table share the faults; found only by way of the line above.
from faults.contestants import Contestant, open_contestants  # noqa: E402
from faults.contests import CONTESTS, Contest  # noqa: E402
from faults.tally import Tally  # noqa: E402


def main() -> None:
    """Measure all rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="many attempts for each row")
    parser.add_argument("--only", help="rows whose name holds this")
    parser.add_argument("--verbose", action="store_true", help="tell what failed, on stderr")
    options = parser.parse_args()
    chosen = [each for each in CONTESTS if (options.only or "") in each.name]
    with tempfile.TemporaryDirectory() as folder:
        contestants = open_contestants(Path(folder))
        print(
            f"| what is done, and what counts | {' | '.join(each.name for each in contestants)} |"
        )
        print("|---" * (len(contestants) + 1) + "|", flush=True)
        for contest in chosen:
            cells = [_cell(contest, each, options) for each in contestants]
            print(f"| {contest.name} | {' | '.join(cells)} |", flush=True)
        for each in contestants:
            each.server.close()
    print(f"\n{_machine()}")


def _cell(contest: Contest, contestant: Contestant, options: argparse.Namespace) -> str:
    n_attempts = contest.n_full if options.full else contest.n_quick
    try:
        tally: Tally = contest.measure(contestant, n_attempts)
    except RuntimeError as error:
        return f"not measured: {error}"
    if options.verbose:
        for failure in tally.failures:
            print(f"{contest.name}: {contestant.name}: {failure}", file=sys.stderr)
    return f"{tally.n_attempts - len(tally.failures)}/{tally.n_attempts}"


def _machine() -> str:
    names = ("gemtune", "torch", "transformers", "peft", "accelerate")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    python = platform.python_version()
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {python}, {versions}"


if __name__ == "__main__":
    main()
