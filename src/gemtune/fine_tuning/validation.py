"""What validation said: which weights are the best, and whether they stopped getting better."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Validation:
    """A validation loss in nats per target token, and after how many steps it was measured."""

    n_steps: int
    loss: float


def base_validation(validations: Sequence[Validation]) -> Validation | None:
    """The one before the first step: the loss of the base model."""
    return next((v for v in validations if v.n_steps == 0), None)


def best_validation(validations: Sequence[Validation]) -> Validation | None:
    """The lowest loss of trained weights; the first of equals."""
    trained = (v for v in validations if v.n_steps > 0)
    return min(trained, key=lambda v: v.loss, default=None)


def has_stalled(validations: Sequence[Validation], patience: int | None) -> bool:
    """Whether the last `patience` validations brought no better loss."""
    best = best_validation(validations)
    if patience is None or best is None:
        return False
    return len(validations) - 1 - validations.index(best) >= patience
