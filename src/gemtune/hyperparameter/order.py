"""What is asked of a process that works on a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemtune.config.schema import Config
from gemtune.data.files import DataFiles
from gemtune.hyperparameter.finalists import Progress
from gemtune.hyperparameter.ledger import Stopwatch
from gemtune.hyperparameter.process_identity import new_identity


def show_nothing(label: str, n_done: int, n_all: int) -> None:
    """For callers who do not want to be told."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order to work on a study."""

    files: DataFiles
    output_dir: Path
    config: Config
    request: Mapping[str, Any]
    """What makes a later call the same; empty for a worker that only helps."""
    watch: Stopwatch
    """Runs since the call began."""
    on_progress: Progress = show_nothing
    """Told of rows that are answered."""
    show_progress: bool = False
    """Report on stderr while refits are trained."""
    identity: str = field(default_factory=new_identity)
    """Of this process, among those that work on the study."""
