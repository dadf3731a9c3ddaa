"""How much room the checkpoints of a run take on the disk."""

from pathlib import Path

from gemtune.fine_tuning.prepare import Prepared
from gemtune.runs.disk import require_space
from gemtune.runs.run import CHECKPOINTS_DIR, METRICS_FILE

# The best one, the last two, and the next one: old ones go when that is on the disk.
_N_AT_ONCE = 4
# Weights, and the two averages that AdamW keeps of each.
_N_NUMBERS_A_WEIGHT = 3
_SMALL_FILES_BYTES = 2**16


def require_space_for_run(run_dir: Path, ready: Prepared) -> None:
    """Make sure that a run to the end finds room, the adapter published at the end included.

    Raises:
        ResourceError: it would not; bytes needed and free are named.
    """
    n_bytes = _N_AT_ONCE * checkpoint_bytes(run_dir, ready) + ready.adapter_bytes
    there = (run_dir / CHECKPOINTS_DIR).rglob("*")
    n_present = sum(path.stat().st_size for path in there if path.is_file())
    require_space(run_dir, max(0, n_bytes - n_present), "the checkpoints of this run")


def checkpoint_bytes(run_dir: Path, ready: Prepared) -> int:
    """Estimate the size of the next checkpoint, log of the run included."""
    log = run_dir / METRICS_FILE
    n_log = log.stat().st_size if log.exists() else 0
    n_state = _N_NUMBERS_A_WEIGHT * ready.masters.n_bytes
    return ready.adapter_bytes + n_state + n_log + _SMALL_FILES_BYTES
