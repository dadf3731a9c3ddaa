"""The state of training in a checkpoint folder: all that the next step depends on.

The order of the rows and the dropout are functions of the seed and the step, so there is nothing to
store of them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from gemtune.errors import ArtefactError, NotFiniteError
from gemtune.fine_tuning.masters import MasterWeights
from gemtune.fine_tuning.validation import Validation
from gemtune.runs.files import write_bytes, write_json
from gemtune.runs.manifest import STATE_FILE

TENSORS_FILE = "training_state.safetensors"
_SCHEMA_VERSION = 1
_WEIGHT = "weight"
_OPTIMIZER_KEYS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(slots=True)
class Progress:
    """What a run has reached."""

    n_steps: int = 0
    """Optimizer steps done, those skipped included."""
    n_tokens: int = 0
    """Real tokens that went through the model in training."""
    train_loss: float | None = None
    """Of the last step that was not skipped."""
    validations: list[Validation] = field(default_factory=list)
    skipped_steps: list[int] = field(default_factory=list)
    """Steps (from 1) whose loss or gradient was not finite."""


def write_state(
    folder: Path,
    progress: Progress,
    masters: MasterWeights,
    optimizer: torch.optim.Optimizer,
    about: Mapping[str, Any],
) -> None:
    """Write weights, optimizer and counters into a checkpoint folder.

    Args:
        folder: Where; it exists.
        progress: The counters.
        masters: The trained weights.
        optimizer: AdamW over them.
        about: What else is to be told in `state.json`.

    Raises:
        NotFiniteError: a number is not finite; it is not written then.
    """
    tensors = _collect(masters, optimizer)
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise NotFiniteError(
                f"{name} is not finite after step {progress.n_steps}; the checkpoint before it is "
                "the last good one",
                fix="lower fine_tuning.training.learning_rate and start again in another folder",
            )
    write_bytes(folder / TENSORS_FILE, save(tensors))
    counters = asdict(progress)
    state = {"version": _SCHEMA_VERSION, "step": counters.pop("n_steps"), **counters, **about}
    write_json(folder / STATE_FILE, state)


def read_progress(folder: Path) -> Progress:
    """Read the counters of a checkpoint that was found to be whole.

    Raises:
        ArtefactError: it was written by another version of gemtune that this one cannot read.
    """
    state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    if state["version"] != _SCHEMA_VERSION:
        raise ArtefactError(
            f"{folder} has the format {state['version']}; this gemtune reads {_SCHEMA_VERSION}",
            fix="go on with the gemtune that began the run (run.json names its version), or add "
            "--overwrite to start over",
        )
    return Progress(
        n_steps=state["step"],
        n_tokens=state["n_tokens"],
        train_loss=state["train_loss"],
        validations=[Validation(**found) for found in state["validations"]],
        skipped_steps=state["skipped_steps"],
    )


def restore_tensors(folder: Path, masters: MasterWeights, optimizer: torch.optim.Optimizer) -> None:
    """Bring weights and optimizer to the state of a checkpoint.

    Raises:
        ArtefactError: it belongs to another adapter.
    """
    tensors = load_file(folder / TENSORS_FILE)
    shapes = {_key(_WEIGHT, name): weight.shape for name, weight in masters.weights.items()}
    found = {key: tensor.shape for key, tensor in tensors.items() if key in shapes}
    if found != shapes:
        raise ArtefactError(
            f"{folder} belongs to another adapter than the one that the config describes",
            fix="choose another output folder, or add --overwrite to start over",
        )
    for name, weight in masters.weights.items():
        # Copied, because memory that belongs to a mapped file is aligned in another way.
        weight.data.copy_(tensors[_key(_WEIGHT, name)])
        state = {key: tensors.get(_key(key, name)) for key in _OPTIMIZER_KEYS}
        known = {key: tensor for key, tensor in state.items() if tensor is not None}
        if known:
            optimizer.state[weight] = {k: _like(t, k, weight) for k, t in known.items()}
    masters.publish()


def _collect(masters: MasterWeights, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors = {}
    for name, weight in masters.weights.items():
        tensors[_key(_WEIGHT, name)] = weight.detach().cpu()
        # Empty for a weight that never had a gradient, such as an expert that nothing reached.
        for key, value in optimizer.state.get(weight, {}).items():
            tensors[_key(key, name)] = value.detach().cpu()
    return tensors


def _key(kind: str, name: str) -> str:
    return f"{kind}/{name}"


def _like(tensor: Tensor, key: str, weight: Tensor) -> Tensor:
    # AdamW counts its steps on the CPU, wherever the weights are.
    return tensor.clone() if key == "step" else tensor.to(weight.device, copy=True)
