"""A run in figures for `run.json`, and what of its surroundings changed since it began."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from peft import PeftModel

from gemtune.config.schema import Config
from gemtune.data.files import DataFiles
from gemtune.fine_tuning.identity import Identity
from gemtune.fine_tuning.plan import RunPlan
from gemtune.fine_tuning.setup import count_parameters
from gemtune.models.hardware import describe_hardware
from gemtune.runs.changes import Change
from gemtune.runs.environment import describe_environment
from gemtune.runs.run import file_digest


def describe_run(
    config: Config, files: DataFiles, identity: Identity, model: PeftModel, plan: RunPlan
) -> dict[str, Any]:
    """Model, data, plan, seed and machine of a run."""
    n_trained, _ = model.get_nb_trainable_parameters()
    return {
        "project": config.project.name,
        "target": config.target,
        "model": {
            "name": config.fine_tuning.model,
            "revision": config.fine_tuning.revision,
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
        "hardware": describe_hardware(),
        "identity": identity,
    }


def find_changed_surroundings(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """What may round differently than it did: versions, threads, machine, number format.

    Args:
        earlier: `run.json` as it was left.
        now: The same of this process, as far as it is known when it begins.
    """
    old, new = _surroundings(earlier), _surroundings({**now, "environment": describe_environment()})
    return [Change(name, old.get(name), new[name]) for name in new if old.get(name) != new[name]]


def _surroundings(record: Mapping[str, Any]) -> dict[str, Any]:
    environment = record["environment"]
    return {
        "python": environment["python"],
        **environment["packages"],
        **record["hardware"],
        "dtype": record["model"]["dtype"],
        "micro_batch_tokens": record["micro_batch_tokens"],
    }


def _count_base_parameters(model: PeftModel) -> int:
    """Trained biases of the base are a part of it too, so the frozen ones are not the base."""
    added = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    return count_parameters(model) - added
