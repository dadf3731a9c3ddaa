"""The run folder: who may write into it, and the record of what was run."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gemtune.errors import UsageError
from gemtune.redaction import redact_values
from gemtune.runs.earlier_run import read_earlier_run
from gemtune.runs.environment import describe_environment
from gemtune.runs.files import remove_tree, write_json
from gemtune.runs.manifest import MANIFEST_FILE
from gemtune.runs.owned_folder import own_folder

RUN_FILE = "run.json"
LOCK_FILE = "run.lock"
METRICS_FILE = "metrics.jsonl"
SPEED_FILE = "speed.jsonl"
CONFIG_FILE = "config.resolved.json"
TENSORBOARD_DIR = "tensorboard"
CHECKPOINTS_DIR = "checkpoints"
COMPARISON_DIR = "comparison"
"""Where the comparison of the run's adapter with its base goes, unless a user says otherwise."""
COMPARISON_FILE = "comparison.json"
REPORT_FILE, MARKDOWN_FILE = "report.html", "report.md"
# In the order of clearing: without run.json nobody can tell what the others are.
_RUN_CONTENTS = (
    MANIFEST_FILE,
    METRICS_FILE,
    SPEED_FILE,
    CONFIG_FILE,
    TENSORBOARD_DIR,
    REPORT_FILE,
    MARKDOWN_FILE,
    CHECKPOINTS_DIR,
    RUN_FILE,
)
# What a run writes or clears, and other tools may have written under the same names.
_PRECIOUS = (METRICS_FILE, TENSORBOARD_DIR, CHECKPOINTS_DIR, "adapter_config.json", "config.json")


@contextmanager
def open_run(run_dir: Path, *, overwrite: bool) -> Iterator[dict[str, Any] | None]:
    """Own `run_dir` while the block runs: create it, lock it, refuse to mix it with other results.

    A block that fails before it wrote anything leaves no folder behind that was not there before.

    Yields:
        What `run.json` says of the run that is to go on; None when a new one is to begin.

    Raises:
        RunLockedError: another process works in the folder.
        UsageError: the folder holds a model or results of another tool and `overwrite` is false,
            or the path is a file.
        ArtefactError: `run.json` is damaged and `overwrite` is false.
    """
    if run_dir.parts[:1] == ("gs:",):
        raise UsageError(
            f"{run_dir} is no folder of this machine",
            fix="for a run in a bucket call gemtune.vertex.finetune.finetune_to_bucket",
        )
    with own_folder(run_dir, LOCK_FILE):
        yield None if overwrite else _read_earlier(run_dir)


def clear_run(run_dir: Path) -> None:
    """Remove what an earlier run left in `run_dir`; files that somebody else put there stay."""
    checkpoints = (run_dir / CHECKPOINTS_DIR).glob("step-*")
    published = {path.name for folder in checkpoints for path in folder.glob("*")}
    # What was proven about an adapter says nothing about the next one.
    proof = [COMPARISON_DIR] if (run_dir / COMPARISON_DIR / COMPARISON_FILE).exists() else []
    for name in (*sorted(published), *proof, *_RUN_CONTENTS):
        remove_tree(run_dir / name)


def write_run(run_dir: Path, record: Mapping[str, Any]) -> None:
    """Write `run.json`: `record` plus the machine and the versions it ran with."""
    # The identity is compared when the run goes on; it comes from a config, which has no secrets.
    told = {
        name: value if name == "identity" else redact_values(value)
        for name, value in record.items()
    }
    write_json(run_dir / RUN_FILE, {**told, "environment": describe_environment()})


def read_run(run_dir: Path) -> dict[str, Any]:
    """Read `run.json`, written by `write_run`."""
    return json.loads((run_dir / RUN_FILE).read_text(encoding="utf-8"))


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_earlier(run_dir: Path) -> dict[str, Any] | None:
    path = run_dir / RUN_FILE
    if path.exists():
        return read_earlier_run(path)
    _refuse_other_results(run_dir)
    return None


def _refuse_other_results(run_dir: Path) -> None:
    for name in _PRECIOUS:
        if (run_dir / name).exists():
            raise UsageError(
                f"{run_dir} holds {name}, which is not of a run of gemtune",
                fix="choose another output folder; --overwrite (in Python overwrite=True) would "
                "write over what is there",
            )
