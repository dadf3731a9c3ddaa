"""When trials are compared, and which of them go on: pure functions of what was measured."""

import math
from collections.abc import Collection, Mapping

N_RUNGS = 3
MIN_STEPS = 30
# Slow starters (much dropout, a low learning rate) get a second look.
N_EXTRA_AT_FIRST = 1

_WARMUPS = 2
_WORSE_BY = 0.5


def rung_fractions(eta: int, n_steps: int, n_warmup: int) -> tuple[float, ...]:
    """The shares of a trial's token budget after which it is compared; the last one is 1.

    The first is `eta ** -2`, or later if that would be fewer than 30 optimizer steps or twice the
    warm-up, but at most `1 / eta`. The second lies between the others, at the same ratio to both.

    Args:
        eta: One of this many trials goes on.
        n_steps: Optimizer steps of a whole trial, for the config that the study starts from.
        n_warmup: Those of them that warm up.
    """
    wanted = max(MIN_STEPS, _WARMUPS * n_warmup) / n_steps
    first = min(max(wanted, eta**-2), 1 / eta)
    return first, math.sqrt(first), 1.0


def group_size(eta: int) -> int:
    """How many trials are compared with each other: one of them would reach the last rung."""
    return eta ** (N_RUNGS - 1)


def survivors(
    losses: Mapping[int, float], earlier: Collection[float], eta: int, rung: int
) -> set[int]:
    """The trials of a group that go on to the next rung.

    A trial must be among the best of its group, and among the best of all that were ever measured
    at this rung; the share is one of `eta` in both, rounded up.

    Args:
        losses: By trial, at this rung; each of them finite.
        earlier: The losses of earlier groups at this rung.
        eta: One of this many goes on.
        rung: 0 is the first.
    """
    n_extra = N_EXTRA_AT_FIRST if rung == 0 else 0
    ranked = sorted(losses, key=lambda number: (losses[number], number))
    best = ranked[: math.ceil(len(ranked) / eta) + n_extra]
    everybody = sorted([*losses.values(), *earlier])
    n_of_all = math.ceil(len(everybody) / eta) + n_extra
    limit = everybody[min(n_of_all, len(everybody)) - 1] if everybody else math.inf
    return {number for number in best if losses[number] <= limit}


def has_diverged(loss: float, start_loss: float) -> bool:
    """Whether training made a trial worse than untrained; asked after its warm-up."""
    return not loss <= start_loss + _WORSE_BY
