"""Trainers under the same faults: how each is started, and where it keeps what."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.attempts import ROOT, Ending, ForkServer
from faults.tasks import Task, make_task

PEERS = ROOT / "benchmarks" / "peers"


@dataclass(frozen=True, slots=True)
class Contestant:
    """A trainer whose command starts a run and resumes it."""

    name: str
    server: ForkServer
    program: str
    arguments: tuple[str, ...]
    """`{data}` and `{out}` are filled in."""
    data: Path
    weights: str
    """The final adapter, below the run folder."""
    checkpoints: str
    """A glob below the run folder."""
    saving: str
    """What the paths of a checkpoint hold while it is written; `{step}` is filled in."""
    smooth: tuple[str, ...]
    """Arguments without which rounding would be amplified, and dropout masks depend on batches."""
    least_memory: tuple[str, ...]
    """Arguments that make it try smaller batches where memory runs out."""

    def command(self, run_dir: Path, *more: str, data: Path | None = None) -> list[str]:
        """The arguments of a run."""
        filled = [each.format(data=data or self.data, out=run_dir) for each in self.arguments]
        return [*filled, *more]

    def run(self, run_dir: Path, *more: str, data: Path | None = None, **settings: Any) -> Ending:
        """Run or resume to the end; `settings` are fields of `Order`."""
        command = self.command(run_dir, *more, data=data)
        return self.server.run(command, program=self.program, **settings)

    def saving_path(self, step: int) -> str:
        """What the paths of the checkpoint of a step hold while it is written."""
        return self.saving.format(step=step)

    def checkpoint_dirs(self, run_dir: Path) -> list[Path]:
        """Finished or not, the oldest first."""
        found = run_dir.glob(self.checkpoints)
        return sorted(found, key=lambda path: int(re.sub("[^0-9]", "", path.name)))

    def final_weights(self, run_dir: Path) -> bytes | None:
        """The bytes of the final adapter; None if there is none."""
        path = run_dir / self.weights
        return path.read_bytes() if path.exists() else None


def open_contestants(folder: Path) -> list[Contestant]:
    """Gemtune and HF Trainer with the same task."""
    task_dir = folder / "task"
    task_dir.mkdir()
    task = make_task(task_dir)
    return [_gemtune(task, folder), _hf_trainer(task, folder)]


def _gemtune(task: Task, folder: Path) -> Contestant:
    (logs := folder / "gemtune-logs").mkdir()
    return Contestant(
        name="gemtune",
        server=ForkServer(logs),
        program="gemtune.cli:main",
        arguments=("finetune", "{data}", "{out}", "--config-path", str(task.config)),
        data=task.data,
        weights="adapter_model.safetensors",
        checkpoints="checkpoints/step-*",
        saving="/checkpoints/.tmp-{step:08d}",
        smooth=("fine_tuning.lora.dropout=0", "fine_tuning.training.learning_rate=1e-3"),
        least_memory=(),
    )


def _hf_trainer(task: Task, folder: Path) -> Contestant:
    (logs := folder / "hf-trainer-logs").mkdir()
    return Contestant(
        name="HF Trainer + PEFT",
        server=ForkServer(logs, "hf_trainer", search=PEERS),
        program="hf_trainer:main",
        arguments=(str(task.model), "{data}", "{out}"),
        data=task.data,
        weights="final/adapter_model.safetensors",
        checkpoints="checkpoint-*",
        saving="/checkpoint-{step}",
        smooth=("--dropout=0", "--learning-rate=1e-3"),
        least_memory=("--auto-batch-size",),
    )
