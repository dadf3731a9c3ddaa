"""An order to work on a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemtune.config.schema import Config
from gemtune.data.files import DataFiles
from gemtune.fine_tuning.identity import Identity
from gemtune.runs.changes import Change
from gemtune.runs.mirror import RunMirror


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done, and what was done before."""

    run_dir: Path
    config: Config
    files: DataFiles
    identity: Identity
    earlier: Mapping[str, Any] | None
    """`run.json` of the run that is to go on; None for a new one."""
    accepted_changes: Sequence[Change]
    """Inputs that are not what they were; the user says that this is wanted."""
    show_progress: bool
    mirror: RunMirror | None
    """Follows the run to a second home."""
