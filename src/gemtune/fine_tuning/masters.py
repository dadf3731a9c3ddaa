"""Trained weights in fp32 beside the copies that the model computes with (fp64 for fp64 models).

A bf16 weight cannot take the small updates of training: most of them round to nothing. So the
optimizer works on fp32 masters, gradients of micro-batches are summed in fp32, and the model gets
a rounded copy after every step.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class MasterWeights:
    """The trained parameters of a model, by name, in fp32."""

    def __init__(self, model: nn.Module, compute_dtype: torch.dtype) -> None:
        """Take over what requires gradients; the model computes in `compute_dtype` from now on."""
        self._compute = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.weights = {
            name: nn.Parameter(parameter.detach().to(_at_least_fp32(parameter)).clone())
            for name, parameter in self._compute.items()
        }
        for parameter in self._compute.values():
            parameter.data = parameter.data.to(compute_dtype)

    def take_gradients(self) -> None:
        """Move the gradients of the last backward pass into the fp32 sums."""
        for name, parameter in self._compute.items():
            if parameter.grad is None:
                continue
            master = self.weights[name]
            gradient = parameter.grad.to(master.dtype)
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            parameter.grad = None

    def drop_gradients(self) -> None:
        """Forget what was summed so far."""
        for name, parameter in self._compute.items():
            parameter.grad = None
            self.weights[name].grad = None

    def publish(self) -> None:
        """Give the model rounded copies of the weights."""
        for name, parameter in self._compute.items():
            parameter.data.copy_(self.weights[name].data)

    def state(self) -> dict[str, Tensor]:
        """Copies of the fp32 weights by parameter name."""
        return {name: weight.detach().clone() for name, weight in self.weights.items()}

    @property
    def n_bytes(self) -> int:
        """Memory of the fp32 weights."""
        return sum(weight.nbytes for weight in self.weights.values())

    def parameters(self) -> Iterable[nn.Parameter]:
        """The fp32 weights, for the optimizer and for clipping."""
        return self.weights.values()


def _at_least_fp32(parameter: nn.Parameter) -> torch.dtype:
    return torch.promote_types(parameter.dtype, torch.float32)
