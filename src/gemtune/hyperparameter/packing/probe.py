"""Training throw-away trials for a few steps, to see how fast this device trains them together."""

import gc
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedModel

from gemtune.config.schema import Config
from gemtune.fine_tuning.foundation import Foundation
from gemtune.fine_tuning.gradient_request import Asking, answer_alone
from gemtune.fine_tuning.ingredients import Ingredients
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.optimizer_step import OptimizerStep
from gemtune.fine_tuning.plan import plan_run
from gemtune.fine_tuning.prepare import prepare
from gemtune.fine_tuning.state import Progress
from gemtune.fine_tuning.stop_time import StopTime
from gemtune.hyperparameter.packing.choice import Measured
from gemtune.hyperparameter.packing.pack import train_together
from gemtune.monitoring.recorder import Recorder

N_STEPS = 5


def measure_together(
    foundation: Foundation,
    config: Config,
    n_together: int,
    n_steps: int = N_STEPS,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Train `n_together` trials with the user's settings for some steps.

    One alone goes the way of every trial that is not packed. The first step of each has the longest
    rows there are: it warms up, and shows the memory that the search will need at most.
    """
    runs = [_throw_away(foundation, config) for _ in range(n_together)]
    marks: list[tuple[int, float]] = []
    asking = [_steps(run, n_steps, marks, clock) for run in runs]
    if foundation.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if n_together == 1:
        answer_alone(asking[0])
    else:
        train_together(foundation.base, asking)
    share = _memory_share(foundation.device)
    del runs, asking
    gc.collect()
    # All are through their first step when the last of them is, and through all steps likewise.
    started, ended = marks[n_together - 1][1], marks[-1][1]
    n_tokens = sum(tokens for tokens, _ in marks[n_together:])
    return Measured(n_together, n_tokens / (ended - started), share)


def _steps(
    run: Ingredients,
    n_steps: int,
    marks: list[tuple[int, float]],
    clock: Callable[[], float],
) -> Asking[None]:
    """Note the tokens of each step, and when it was over."""
    by_length = sorted(run.train, key=lambda row: -len(row.token_ids))
    longest = by_length[: run.plan.effective_batch]
    for step in range(n_steps + 1):
        before = run.progress.n_tokens
        rows = longest if step == 0 else run.train
        plan = plan_run(len(rows), run.training)
        yield from OptimizerStep(replace(run, train=rows, plan=plan), 10**9, StopTime()).take()
        if run.model.device.type == "cuda":
            torch.cuda.synchronize()
        marks.append((run.progress.n_tokens - before, clock()))


def _throw_away(foundation: Foundation, config: Config) -> Ingredients:
    ready = prepare(foundation, config)
    network = ready.model.get_base_model()
    assert isinstance(network, PreTrainedModel)
    training = config.fine_tuning.training
    return Ingredients(
        model=network.train(),
        masters=ready.masters,
        optimizer=ready.optimizer,
        train=ready.rows["train"],
        val=(),
        plan=ready.plan,
        training=training,
        recorder=Recorder(Path(), io.StringIO(), io.StringIO(), ()),
        memory=MemoryLimit([TokenLimit(0, False, training.micro_batch_tokens)], lambda _: None),
        progress=Progress(),
    )


def _memory_share(device: torch.device) -> float:
    """The highest so far; a CPU shares its memory with others, and nobody asks there."""
    if device.type != "cuda":
        return 0.0
    _, total = torch.cuda.mem_get_info(device)
    return torch.cuda.max_memory_allocated(device) / total
