"""One trial from where it was parked to the step where it is parked next."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gemtune.config.dump import dump_resolved
from gemtune.config.params import Params
from gemtune.errors import ArtefactError, NotFiniteError, OutOfMemoryError
from gemtune.fine_tuning.description import describe_run
from gemtune.fine_tuning.foundation import Foundation
from gemtune.fine_tuning.gradient_request import Asking
from gemtune.fine_tuning.job import Job
from gemtune.fine_tuning.loop import OnStep
from gemtune.fine_tuning.memory_limit import MemoryLimit
from gemtune.fine_tuning.prepare import Prepared, prepare
from gemtune.fine_tuning.record import open_record
from gemtune.fine_tuning.space import require_space_for_run
from gemtune.fine_tuning.start import Start, find_start, lay_out, token_limits
from gemtune.fine_tuning.state import Progress
from gemtune.fine_tuning.stretch import note_halvings, restore, training
from gemtune.fine_tuning.validation import Validation
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.rungs import has_diverged
from gemtune.models.memory import memory_errors
from gemtune.runs.files import write_text
from gemtune.runs.run import CONFIG_FILE

logger = logging.getLogger(__name__)

Rung = Mapping[str, Any]
"""`n_steps`, `n_tokens` and `loss` of a trial where it was parked."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial that is to be trained further; its folder is held."""

    job: Job
    params: Params
    last_step: int
    """Where it is parked next."""
    n_warmup: int
    """Steps in which the learning rate rises."""
    base_loss: float
    """Validation loss of the base."""

    @property
    def rungs(self) -> Sequence[Rung]:
        """What was measured at earlier rungs."""
        return self.job.earlier["rungs"] if self.job.earlier else ()


def known_rung(trial: Trial) -> Advance | None:
    """What an earlier process measured at this rung, if one did."""
    for rung in trial.rungs:
        if rung["n_steps"] == trial.last_step:
            return _at_rung(trial, rung)
    return None


def train_trial(trial: Trial, foundation: Foundation, on_step: OnStep) -> Asking[Advance]:
    """Train, validate and park a trial; the gradients are asked for.

    Raises:
        ArtefactError: what is parked cannot be used, or is beyond the step that is asked for.
    """
    start = find_start(trial.job)
    if start.step > trial.last_step:
        raise ArtefactError(f"{trial.job.run_dir} is beyond step {trial.last_step} already")
    progress = Progress()
    try:
        with memory_errors("in a trial", fix="choose a smaller model or more memory"):
            ready = _prepare(trial, foundation)
            progress = restore(start, ready)
            progress.validations = _validations(trial, start.step)
            require_space_for_run(trial.job.run_dir, ready)
            rung = yield from _run(trial, start, ready, progress, on_step)
    except NotFiniteError as error:
        return _ended(progress, "not finite", error)
    except OutOfMemoryError as error:
        return _ended(progress, "out of memory", error)
    return _at_rung(trial, rung)


def _prepare(trial: Trial, foundation: Foundation) -> Prepared:
    ready = prepare(foundation, trial.job.config)
    # Validated once, where it ends; the learning rate still follows the whole schedule.
    return replace(ready, plan=replace(ready.plan, eval_every_steps=trial.last_step))


def _validations(trial: Trial, n_steps: int) -> list[Validation]:
    before = [rung for rung in trial.rungs if rung["n_steps"] <= n_steps]
    measured = [Validation(rung["n_steps"], rung["loss"]) for rung in before]
    return [Validation(0, trial.base_loss), *measured]


def _run(
    trial: Trial, start: Start, ready: Prepared, progress: Progress, on_step: OnStep
) -> Asking[Rung]:
    job, limits = trial.job, token_limits(trial.job, start)
    values = {
        **describe_run(job.config, job.files, job.identity, ready.model, ready.plan),
        "params": dict(trial.params),
        "base_loss": trial.base_loss,
        "rungs": trial.rungs,
        "micro_batch_tokens": job.config.fine_tuning.training.micro_batch_tokens,
        "micro_batches": [asdict(limit) for limit in limits],
    }
    lay_out(job, start)
    with open_record(job.run_dir, values, job.earlier) as record:
        write_text(job.run_dir / CONFIG_FILE, dump_resolved(job.config))
        memory = MemoryLimit(limits, note_halvings(record))
        yield from training(
            job, ready, progress, memory, last_step=trial.last_step, on_step=on_step
        )
        reached = progress.validations[-1]
        rung = {"n_steps": reached.n_steps, "n_tokens": progress.n_tokens, "loss": reached.loss}
        record.change(status="parked", rungs=[*trial.rungs, rung])
    return rung


def _at_rung(trial: Trial, rung: Rung) -> Advance:
    diverged = rung["n_steps"] >= trial.n_warmup and has_diverged(rung["loss"], trial.base_loss)
    return Advance(**rung, seconds=0.0, ended="diverged" if diverged else None)


def _ended(progress: Progress, why: str, error: Exception) -> Advance:
    logger.warning("the trial ends here: %s", error)
    return Advance(progress.n_steps, progress.n_tokens, math.inf, 0.0, ended=why)
