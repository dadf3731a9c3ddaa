"""A run that leaves the gradients of its steps to whoever drives it: alone, or beside others."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TypeVar

from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.rows import Row

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, eq=False)
class GradientRequest:
    """What a run needs before it can take its next step: gradients in its masters, and a loss."""

    run: Ingredients
    rows: Sequence[Row]
    step: int
    """Optimizer steps done, which dropout is a function of."""
    alone: Callable[[], float]
    """Computes both with the run's own model; returns the mean loss per target in nats."""
    note_micro_batch: Callable[[float], None]
    """To be told the seconds of each pass through a model."""


Asking = Generator[GradientRequest, float, Result]
"""A run: yields what it needs, is sent the loss, returns what it reached."""


def answer_alone(asking: Asking[Result], request: GradientRequest | None = None) -> Result:
    """Drive a run to its end with its own model; `request` is what it waits for, if it began."""
    try:
        request = request or next(asking)
        while True:
            request = asking.send(request.alone())
    except StopIteration as end:
        reached: Result = end.value
        return reached
    except BaseException as error:
        # Also a signal that strikes in these lines: the run leaves in good order in any case.
        if getgeneratorstate(asking) == GEN_CLOSED:
            raise
        return tell_error(asking, error)


def tell_error(asking: Asking[Result], error: BaseException) -> Result:
    """Let a run answer an error that struck outside of it; mostly it raises it again."""
    try:
        asking.throw(error)
    except StopIteration as end:
        reached: Result = end.value
        return reached
    raise error
