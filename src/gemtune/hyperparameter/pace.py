"""What the rest of a study will cost in seconds, told from what its parts took so far."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from gemtune.hyperparameter.board import Results, Standing
from gemtune.hyperparameter.rungs import N_EXTRA_AT_FIRST

# Of the work of a training step; LoRA needs no gradients of the base's weights.
_SHARE_OF_FORWARD = 0.4

Typical = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast trials are on this study's machines."""

    part_seconds: tuple[float, ...]
    """From each rung to the next, the first from the start; what was not measured is estimated."""
    training_seconds: float
    """To train a whole trial, without validation."""
    seconds_per_token: float
    """In training."""


@dataclass(frozen=True, slots=True)
class FinalWork:
    """What comes after the search."""

    n_refits: int
    """Runs of both sides."""
    n_answering: int
    """Models that are loaded to answer rows."""
    n_answered_tokens: float
    """Of the rows that are answered, over all models."""
    n_validated_tokens: float
    """Of the rows that the refits are validated on, over all validations."""

    def seconds(self, pace: Pace, setup_seconds: float) -> float:
        """How long it takes; every model is loaded anew, in `setup_seconds`."""
        training = self.n_refits * pace.training_seconds
        n_tokens = self.n_answered_tokens + _SHARE_OF_FORWARD * self.n_validated_tokens
        loading = (self.n_refits + self.n_answering) * setup_seconds
        return training + n_tokens * pace.seconds_per_token + loading


def measure_pace(
    results: Results,
    fractions: Sequence[float],
    n_validation_tokens: float,
    typical: Typical = median,
) -> Pace | None:
    """Tell the pace from what was measured; None before anything was.

    Args:
        results: What was measured.
        fractions: Where the rungs are.
        n_validation_tokens: Of the rows that a trial is validated on at every rung.
        typical: Of the seconds that trials took for a part. A mean would be misled by parts that
            were found done after a kill, which took no time again.
    """
    took: dict[int, list[float]] = {}
    tokens = []
    for (_, rung), advance in results.items():
        if advance.failure is None:
            took.setdefault(rung, []).append(advance.seconds)
            tokens.append(advance.n_tokens / fractions[rung])
    if not took:
        return None
    of_trial, validation = median(tokens), _SHARE_OF_FORWARD * n_validation_tokens
    work = [share * of_trial + validation for share in _shares(fractions)]
    known = {rung: typical(seconds) for rung, seconds in took.items()}
    per_token = sum(known.values()) / sum(work[rung] for rung in known)
    parts = tuple(known.get(rung, n_tokens * per_token) for rung, n_tokens in enumerate(work))
    return Pace(parts, of_trial * per_token, per_token)


def group_seconds(pace: Pace, n_trials: int, eta: int, first_rung: int = 0) -> float:
    """How long a group takes from `first_rung` on, with `n_trials` that stand before that rung."""
    total = 0.0
    for rung in range(first_rung, len(pace.part_seconds)):
        total += n_trials * pace.part_seconds[rung]
        n_trials = _n_survivors(n_trials, eta, rung)
    return total


def finish_seconds(pace: Pace, standings: Mapping[int, Standing], eta: int) -> float:
    """How long the trials take that have been begun, as if all of them were of one group."""
    alive = [each for each in standings.values() if each.state in ("open", "waiting")]
    if not alive:
        return 0.0
    rung = min(each.rung for each in alive)
    n_open = sum(each.state == "open" for each in alive)
    n_later = _n_survivors(len(alive), eta, rung)
    return n_open * pace.part_seconds[rung] + group_seconds(pace, n_later, eta, rung + 1)


def _n_survivors(n_trials: int, eta: int, rung: int) -> int:
    n_extra = N_EXTRA_AT_FIRST if rung == 0 else 0
    return min(n_trials, math.ceil(n_trials / eta) + n_extra)


def _shares(fractions: Sequence[float]) -> list[float]:
    return [b - a for a, b in zip((0.0, *fractions), fractions, strict=False)]
