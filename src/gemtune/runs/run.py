"""The run folder: who may write into it, and the record of what was run."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gemtune.errors import UsageError
from gemtune.runs.environment import describe_environment
from gemtune.runs.files import write_json
from gemtune.runs.lock import exclusive_lock

RUN_FILE = "run.json"
LOCK_FILE = "run.lock"
METRICS_FILE = "metrics.jsonl"
CONFIG_FILE = "config.resolved.json"
TENSORBOARD_DIR = "tensorboard"
CHECKPOINTS_DIR = "checkpoints"
# In the order of clearing: without run.json nobody can tell what the others are.
_RUN_CONTENTS = (METRICS_FILE, CONFIG_FILE, TENSORBOARD_DIR, CHECKPOINTS_DIR, RUN_FILE)
# What a run writes or clears, and other tools may have written under the same names.
_PRECIOUS = (METRICS_FILE, TENSORBOARD_DIR, CHECKPOINTS_DIR, "adapter_config.json", "config.json")


@contextmanager
def open_run(run_dir: Path, *, overwrite: bool) -> Iterator[None]:
    """Own `run_dir` while the block runs: create it, lock it, refuse to mix it with another run.

    A block that fails before it wrote anything leaves no folder behind that was not there before.

    Raises:
        RunLockedError: another process works in the folder.
        UsageError: the folder holds a run, a model or results of another tool and `overwrite` is
            false, or the path is a file.
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise UsageError(f"{run_dir} is a file", fix="name a folder for the output")
    created = _make_folder(run_dir)
    with exclusive_lock(run_dir / LOCK_FILE):
        if not overwrite:
            _refuse_to_replace(run_dir)
        try:
            yield
        except BaseException:
            _remove_untouched(run_dir, created)
            raise


def clear_run(run_dir: Path) -> None:
    """Remove what an earlier run left in `run_dir`; files that somebody else put there stay."""
    checkpoints = (run_dir / CHECKPOINTS_DIR / name for name in ("best", "last"))
    published = {path.name for folder in checkpoints for path in folder.glob("*")}
    for path in (run_dir / name for name in (*published, *_RUN_CONTENTS)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_run(run_dir: Path, record: Mapping[str, Any]) -> None:
    """Write `run.json`: `record` plus the machine and the versions it ran with."""
    write_json(run_dir / RUN_FILE, {**record, "environment": describe_environment()})


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_folder(run_dir: Path) -> list[Path]:
    """Create the folder and its parents; returns those that were missing, deepest first."""
    missing = [path for path in (run_dir, *run_dir.parents) if not path.exists()]
    run_dir.mkdir(parents=True, exist_ok=True)
    return missing


def _refuse_to_replace(run_dir: Path) -> None:
    if (run_dir / RUN_FILE).exists():
        raise UsageError(
            f"{run_dir} holds a run already",
            fix="choose another output folder, or add --overwrite (in Python overwrite=True) "
            "to replace that run",
        )
    for name in _PRECIOUS:
        if (run_dir / name).exists():
            raise UsageError(
                f"{run_dir} holds {name}, which is not of a run of gemtune",
                fix="choose another output folder; --overwrite (in Python overwrite=True) would "
                "write over what is there",
            )


def _remove_untouched(run_dir: Path, created: list[Path]) -> None:
    if created and [path.name for path in run_dir.iterdir()] == [LOCK_FILE]:
        (run_dir / LOCK_FILE).unlink()
        # A parent may hold the folder of another run by now; it stays then.
        with suppress(OSError):
            for path in created:
                path.rmdir()
