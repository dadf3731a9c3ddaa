"""What a worker asks of whatever trains its trials."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gemtune.config.params import Params


@dataclass(frozen=True, slots=True)
class Advance:
    """Where a trial stands after a part of its training."""

    n_steps: int
    """Optimizer steps since the trial began."""
    n_tokens: int
    """Tokens trained on since the trial began."""
    loss: float
    """On the validation rows of the study, a mean over their target tokens."""
    seconds: float
    """Wall clock of this part alone."""
    ended: str | None = None
    """Why the trial cannot go on, such as a loss that is not a number; None if it can."""

    @property
    def failure(self) -> str | None:
        """Why this is the end of the trial, told by the engine or by the loss."""
        if self.ended is None and not math.isfinite(self.loss):
            return f"the validation loss is {self.loss}"
        return self.ended


@dataclass(frozen=True, slots=True)
class Errand:
    """A part of a trial that is to be trained; see `Engine.advance`."""

    params: Params
    trial_dir: Path
    to_fraction: float
    on_step: Callable[[], None]


class Engine(Protocol):
    """Trains trials and parks them in their folders."""

    @property
    def n_together(self) -> int:
        """How many trials it trains at the same time where it can."""
        ...

    def advance_together(self, errands: Sequence[Errand]) -> list[Advance]:
        """Do what `advance` does for several trials, sharing work between them."""
        ...

    def advance(
        self, params: Params, trial_dir: Path, to_fraction: float, on_step: Callable[[], None]
    ) -> Advance:
        """Train a trial until `to_fraction` of its token budget is used, and park it there.

        The result is a function of `params` and `to_fraction`: it is the same if `trial_dir` is
        empty, if it holds an earlier part, and if it holds this part already.

        Args:
            params: Hyperparameters by name.
            trial_dir: Where the trial is parked; the folder need not exist.
            to_fraction: Above 0, at most 1.
            on_step: Called after every optimizer step. What it raises ends the call.
        """
        ...
