"""`run.json`: what was run, on what, and how it ended."""

import logging
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from gemtune.config.schema import Config
from gemtune.data.files import DataFiles
from gemtune.fine_tuning.loop import LoopResult
from gemtune.fine_tuning.plan import RunPlan
from gemtune.fine_tuning.setup import count_parameters
from gemtune.models.source import model_folder
from gemtune.runs.run import file_digest, now, write_run

logger = logging.getLogger(__name__)


class RunRecord:
    """The record of one run; every change is on disk at once."""

    def __init__(self, run_dir: Path, values: dict[str, Any]) -> None:
        """Write the first state."""
        self._run_dir = run_dir
        self._values = values
        self._write(status="running", started=now())

    def finish(self, result: LoopResult, seconds: float) -> None:
        """Note a run that came to its end; `seconds` is the wall time of the training loop."""
        self._write(
            status="done",
            finished=now(),
            train_seconds=round(seconds, 3),
            peak_memory_gib=_peak_memory_gib(),
            result=asdict(result),
        )

    def stop(self, error: BaseException) -> None:
        """Note a run that broke off."""
        self._write(status="stopped", finished=now(), error=_in_words(error))

    def _write(self, **changes: Any) -> None:
        self._values |= changes
        write_run(self._run_dir, self._values)


def _in_words(error: BaseException) -> str:
    return ": ".join(filter(None, (type(error).__name__, str(error))))


@contextmanager
def open_record(
    run_dir: Path, config: Config, files: DataFiles, model: PeftModel, plan: RunPlan
) -> Iterator[RunRecord]:
    """Keep `run.json` while the block runs; a block that raises is noted as stopped."""
    record = RunRecord(run_dir, _identity(config, files, model, plan))
    try:
        yield record
    except BaseException as error:
        record.stop(error)
        logger.warning("the run stopped; what it reached is in %s", run_dir)
        raise


def _identity(config: Config, files: DataFiles, model: PeftModel, plan: RunPlan) -> dict[str, Any]:
    n_trained, _ = model.get_nb_trainable_parameters()
    return {
        "project": config.project.name,
        "target": config.target,
        "model": {
            "name": config.fine_tuning.model,
            "revision": config.fine_tuning.revision,
            "sha256": _model_digests(config),
            "dtype": str(model.dtype).removeprefix("torch."),
            "base_parameters": _count_base_parameters(model),
            "trained_parameters": n_trained,
        },
        "data": {
            split: {"path": str(path), "sha256": file_digest(path)}
            for split, path in files.splits().items()
        },
        "plan": asdict(plan),
        "seed": config.fine_tuning.training.seed,
        "hardware": {
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "threads": torch.get_num_threads(),
        },
    }


def _count_base_parameters(model: PeftModel) -> int:
    """Trained biases of the base are a part of it too, so the frozen ones are not the base."""
    added = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    return count_parameters(model) - added


def _peak_memory_gib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts it in bytes, Linux in KiB.
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def _model_digests(config: Config) -> dict[str, str]:
    fine_tuning = config.fine_tuning
    folder = model_folder(fine_tuning.model, fine_tuning.revision, with_weights=True)
    names = [*sorted(path.name for path in folder.glob("*.safetensors")), "tokenizer.json"]
    return {name: file_digest(folder / name) for name in names if (folder / name).exists()}
