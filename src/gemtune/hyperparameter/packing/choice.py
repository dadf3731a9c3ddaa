"""How many trials share a pass: measured on the device that they are trained on, or as told."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

logger = logging.getLogger(__name__)

SIZES = (1, 2, 4, 8)

_MEMORY_SHARE = 0.85
# Two measurements of the same thing differ by about as much.
_LEAST_GAIN = 1.05


@dataclass(frozen=True, slots=True)
class Measured:
    """What a number of trials reached together."""

    n_together: int
    tokens_per_second: float
    """Real tokens of all of them."""
    memory_share: float
    """Of the device, at the largest micro-batches that there can be."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How many trials share a pass, and why."""

    n_together: int
    reason: str
    measured: Sequence[Measured] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as plain data, for study.json."""
        chosen = {"n_together": self.n_together, "reason": self.reason}
        return {**chosen, "measured": [asdict(each) for each in self.measured]}


def choose_by_probe(measure: Callable[[int], Measured], at_most: int) -> Choice:
    """Measure 1, 2, 4 and 8 trials, and choose the fastest number that leaves memory free.

    Args:
        measure: Trains that many for a few steps.
        at_most: More are never trained at the same time.
    """
    found: list[Measured] = []
    for size in SIZES:
        if size > at_most:
            break
        found.append(measure(size))
        logger.info("packing: %s", _in_words(found[-1]))
        if found[-1].memory_share >= _MEMORY_SHARE:
            break
    best, *more = found
    for each in more:
        is_faster = each.tokens_per_second >= _LEAST_GAIN * best.tokens_per_second
        if is_faster and each.memory_share < _MEMORY_SHARE:
            best = each
    gain = best.tokens_per_second / found[0].tokens_per_second
    reason = (
        f"{gain:.2f} times the tokens a second of one after another"
        if best.n_together > 1
        else "one after another is as fast, or the others take too much memory"
    )
    return Choice(best.n_together, reason, tuple(found))


def _in_words(measured: Measured) -> str:
    return (
        f"{measured.n_together} at once: {measured.tokens_per_second:,.0f} tokens/s, "
        f"{100 * measured.memory_share:.0f} % of the memory"
    )
