"""A border: trials whose losses are a function of their settings, parked as a small file."""

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gemtune.config.params import Params
from gemtune.hyperparameter.advance import Advance, Errand

N_STEPS = 90
PARKED = "parked.json"


class FakeEngine:
    """Trains nothing, in steps that take `step_seconds`."""

    def __init__(self, step_seconds: float = 0.0, n_together: int = 1) -> None:
        """Nothing is trained yet."""
        self.step_seconds, self.n_together = step_seconds, n_together
        self.n_steps_done = 0

    def advance_together(self, errands: Sequence[Errand]) -> list[Advance]:
        """One after another."""
        return [self.advance(e.params, e.trial_dir, e.to_fraction, e.on_step) for e in errands]

    def advance(
        self, params: Params, trial_dir: Path, to_fraction: float, on_step: Callable[[], None]
    ) -> Advance:
        """Count steps."""
        parked = trial_dir / PARKED
        n_done = json.loads(parked.read_text())["n_steps"] if parked.exists() else 0
        n_steps = round(N_STEPS * to_fraction)
        for _ in range(n_done, n_steps):
            time.sleep(self.step_seconds)
            self.n_steps_done += 1
            on_step()
        trial_dir.mkdir(parents=True, exist_ok=True)
        parked.write_text(json.dumps({"n_steps": max(n_done, n_steps)}))
        loss = loss_of(params, to_fraction)
        return Advance(n_steps, 100 * n_steps, loss, 0.5, None if loss < 9 else "diverged")


def loss_of(params: Params, fraction: float) -> float:
    """Best at a learning rate of 1e-3; above 2e-2 it diverges."""
    rate, dropout = params["learning_rate"], params["lora_dropout"]
    assert isinstance(rate, float) and isinstance(dropout, float)
    if rate > 2e-2:
        return 10.0
    return 1 / fraction**0.5 + math.log10(rate / 1e-3) ** 2 + dropout
