"""Runs that are driven together: each takes its own steps, passes through the base are shared.

A run with small batches takes many steps while one with large batches takes few. What they share is
a pass, never a step, so clipping, rates, decay and counters stay those of each run.
"""

import gc
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic

import torch
from transformers import PreTrainedModel

from gemtune.errors import GemtuneError
from gemtune.fine_tuning.gradient_request import (
    Asking,
    GradientRequest,
    Result,
    answer_alone,
    tell_error,
)
from gemtune.hyperparameter.packing.network import NotFiniteTogetherError, PackedNetwork
from gemtune.hyperparameter.packing.shares import Share, cut_step
from gemtune.models.memory import is_out_of_memory

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Member(Generic[Result]):
    run: Asking[Result]
    request: GradientRequest | None = None
    """What the run waits for; None before it began and after it ended."""
    shares: deque[Share] = field(default_factory=deque)
    """Of its step, those that are still to be computed."""
    loss_sum: float = 0.0
    results: list[Result] = field(default_factory=list)
    """What it returned, once it did."""

    def go_on(self, loss: float | None) -> None:
        """Let the run take its step; None lets it begin."""
        self.request = None
        try:
            # A generator that did not begin takes nothing but None.
            self.request = self.run.send(loss)  # type: ignore[bad-argument-type]
        except StopIteration as end:
            self.results.append(end.value)
            return
        self.request.run.masters.drop_gradients()
        self.shares, self.loss_sum = deque(cut_step(self.request)), 0.0

    def take_in(self, loss: float, seconds: float) -> None:
        """Count a share that was computed, and let the run take its step if it was the last."""
        assert self.request
        self.request.note_micro_batch(seconds)
        self.loss_sum += loss
        n_targets = self.shares.popleft().n_targets
        if not self.shares:
            self.go_on(self.loss_sum / n_targets)

    def take_step_alone(self) -> None:
        """Let the run take the step that it is in with its own model."""
        assert self.request
        try:
            loss = self.request.alone()
        except BaseException as error:
            self.request = None
            self.results.append(tell_error(self.run, error))
        else:
            self.go_on(loss)

    def leave(self) -> None:
        """Let the run save its last completed step, as after a signal."""
        with suppress(KeyboardInterrupt, GemtuneError):
            tell_error(self.run, KeyboardInterrupt("a run beside it stopped"))


def train_together(base: PreTrainedModel, runs: Sequence[Asking[Result]]) -> list[Result]:
    """Drive runs to their ends; what each reaches is what it reaches alone, up to rounding.

    Args:
        base: What the models of all runs share their memory with.
        runs: Their adapters are plain ones on the same layers (see `why_not_packed`).

    Raises:
        BaseException: what one of the runs raised; the others have saved their last step.
    """
    members = [_Member(run) for run in runs]
    try:
        for member in members:
            member.go_on(None)
        _share_passes(base, members)
    except BaseException:
        for member in members:
            member.leave()
        raise
    return [result for member in members for result in member.results]


def _share_passes(base: PreTrainedModel, members: Sequence[_Member[Result]]) -> None:
    waiting = deque(member for member in members if member.request)
    n_at_once = len(waiting)
    if n_at_once > 1:
        requests = [member.request for member in waiting]
        network = PackedNetwork(base, [request.run for request in requests if request])
        while len(waiting) > 1 and n_at_once > 1:
            turn = [waiting.popleft() for _ in range(min(n_at_once, len(waiting)))]
            if _try_pass(network, turn):
                waiting.extend(member for member in turn if member.request)
            else:
                _free_memory(len(turn))
                n_at_once = len(turn) // 2
                waiting.extendleft(reversed(turn))
    for member in waiting:
        member.results.append(answer_alone(member.run, member.request))


def _try_pass(network: PackedNetwork, turn: Sequence[_Member[Result]]) -> bool:
    """Compute the next share of each; False if they do not fit into memory together."""
    started = time.perf_counter()
    try:
        losses = network.add_gradients([member.shares[0] for member in turn])
    except NotFiniteTogetherError:
        losses = None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    seconds = time.perf_counter() - started
    for number, member in enumerate(turn):
        if losses is None:
            # The one whose fault it is ends; to the others nothing has happened.
            member.take_step_alone()
        else:
            member.take_in(losses[number], seconds)
    return True


def _free_memory(n_together: int) -> None:
    """After the attempt is forgotten, whose traceback held on to its tensors."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    logger.warning("%d trials do not fit into memory together: fewer share a pass", n_together)
