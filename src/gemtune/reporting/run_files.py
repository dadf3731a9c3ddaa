"""What a run folder tells about the training."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter

from gemtune.reporting.read import read_document, read_lines
from gemtune.runs.manifest import MANIFEST_FILE
from gemtune.runs.run import METRICS_FILE, RUN_FILE

Losses = tuple[tuple[int, float], ...]
"""(Optimizer step, loss in nats a token), in the order of steps."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A run: its record, and the losses by optimizer step."""

    record: dict[str, Any]
    train_losses: Losses
    validation_losses: Losses
    digests: dict[str, str]
    """SHA-256 by file, of a run that is done."""

    def told(self, *keys: str) -> Any:
        """What run.json says under nested keys; None where it says nothing."""
        value: Any = self.record
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def number(self, *keys: str) -> float | None:
        """The number that run.json holds under nested keys; None where it holds none."""
        value = self.told(*keys)
        return float(value) if isinstance(value, int | float) else None


class _Event(BaseModel):
    """What a line of metrics.jsonl says of losses."""

    step: int
    train_loss: float | None = Field(None, alias="train/loss")
    eval_loss: float | None = Field(None, alias="eval/loss")


class _Entry(BaseModel):
    """What the manifest says of a file."""

    sha256: str


class _Manifest(BaseModel):
    """Which files belong to a run."""

    files: dict[str, _Entry]


_MANIFEST = TypeAdapter(_Manifest)
_RECORD = TypeAdapter(dict[str, Any])
_EVENT = TypeAdapter(_Event)


def read_run_folder(run_dir: Path) -> TrainingRun:
    """Read run.json, metrics.jsonl where training has begun, manifest.json where it is done.

    Raises:
        ArtefactError: A file is damaged, or there is no run.json.
    """
    record = read_document(run_dir / RUN_FILE, _RECORD)
    path = run_dir / METRICS_FILE
    # A run that goes on may be writing its last line.
    events = read_lines(path, _EVENT, may_be_cut=True) if path.exists() else []
    return TrainingRun(
        record,
        train_losses=_points((event.step, event.train_loss) for event in events),
        validation_losses=_points((event.step, event.eval_loss) for event in events),
        digests=_digests(run_dir / MANIFEST_FILE),
    )


def _digests(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return {name: entry.sha256 for name, entry in read_document(path, _MANIFEST).files.items()}


def _points(losses: Iterable[tuple[int, float | None]]) -> Losses:
    return tuple((step, loss) for step, loss in losses if loss is not None)
