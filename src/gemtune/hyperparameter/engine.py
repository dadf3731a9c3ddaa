"""Trials on one base: loaded once, every trial puts an adapter of its own on it."""

import gc
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gemtune.config.params import Params
from gemtune.config.schema import Config
from gemtune.data.files import DataFiles
from gemtune.errors import ArtefactError, DataError, NotFiniteError
from gemtune.fine_tuning.foundation import Foundation, load_foundation
from gemtune.fine_tuning.identity import Identity, describe_identity, find_changes, number_settings
from gemtune.fine_tuning.job import Job
from gemtune.fine_tuning.loop import OnStep
from gemtune.fine_tuning.memory_limit import MemoryLimit, TokenLimit
from gemtune.fine_tuning.optimizer import n_warmup_steps
from gemtune.fine_tuning.plan import plan_run
from gemtune.fine_tuning.step import mean_loss
from gemtune.hyperparameter.advance import Advance
from gemtune.hyperparameter.trial import Trial, known_rung, train_trial
from gemtune.hyperparameter.trial_config import trial_config
from gemtune.hyperparameter.validation_rows import choose_validation_rows
from gemtune.models.memory import memory_errors
from gemtune.runs.run import open_run

logger = logging.getLogger(__name__)


class TrialEngine:
    """Trains the trials of a study one at a time; made once in a process.

    What a trial reaches is a function of its hyperparameters and its fraction alone: not of the
    trials before it, nor of where it was parked.
    """

    def __init__(self, config: Config, files: DataFiles) -> None:
        """Load the base and the rows, and measure what the base reaches untrained.

        Raises:
            DataError: the data is wrong, or there is no validation data.
            ConfigError: a row exceeds what the model takes.
            ArtefactError: the model cannot be used.
            NotFiniteError: the loss of the base is not finite.
            ResourceError: out of memory.
        """
        if files.val is None:
            raise DataError(
                f"{files.train.parent} holds no val.jsonl, and trials are ranked by it",
                fix="move some rows of train.jsonl into val.jsonl: rows that are no copies of "
                "others that stay",
            )
        self._config, self._files = config, files
        self._identity = describe_identity(config, files)
        self.foundation = _with_few_validation_rows(load_foundation(files, config), config)
        """What all trials stand on."""
        self.base_loss = _measure_base(self.foundation, config)
        """Validation loss of the base, nats per target token."""
        training = config.fine_tuning.training
        self.n_steps = plan_run(len(self.foundation.rows["train"]), training).n_steps
        """Optimizer steps of a whole trial with the user's own settings."""
        self.n_warmup_steps = n_warmup_steps(training, self.n_steps)
        """Those of them that warm up."""

    def advance(
        self,
        params: Params,
        trial_dir: Path,
        to_fraction: float,
        on_step: OnStep = lambda: None,
    ) -> Advance:
        """Train a trial until `to_fraction` of its steps are done, and park it in its folder.

        A trial that cannot go on says so in `ended` (not finite, diverged, out of memory). Damage
        in its folder, or what another study left there, costs only the time to begin anew.

        Args:
            params: Hyperparameters by name.
            trial_dir: The folder of the trial, a run folder; made if it is not there.
            to_fraction: Of the whole schedule; above 0, at most 1.
            on_step: Called after every optimizer step; what it raises ends the call.

        Raises:
            RunLockedError: another process works on the trial.
            ConfigError: the hyperparameters do not fit the model.
            ResourceError: the disk is full.
            KeyboardInterrupt: a signal asked to stop; the last completed step is parked.
        """
        started = time.perf_counter()
        try:
            try:
                reached = self._advance(params, trial_dir, to_fraction, on_step, overwrite=False)
            except ArtefactError as error:
                logger.warning("%s; this trial begins anew", error)
                reached = self._advance(params, trial_dir, to_fraction, on_step, overwrite=True)
        finally:
            _free_memory()
        return replace(reached, seconds=time.perf_counter() - started)

    def _advance(
        self,
        params: Params,
        trial_dir: Path,
        to_fraction: float,
        on_step: OnStep,
        *,
        overwrite: bool,
    ) -> Advance:
        config = trial_config(self._config, params)
        identity = self._identity_of(config)
        training = config.fine_tuning.training
        n_steps = plan_run(len(self.foundation.rows["train"]), training).n_steps
        with open_run(trial_dir, overwrite=overwrite) as found:
            trial = Trial(
                job=Job(
                    run_dir=trial_dir,
                    config=config,
                    files=self._files,
                    identity=identity,
                    earlier=_same_trial(trial_dir, found, identity),
                    accepted_changes=(),
                    show_progress=False,
                    mirror=None,
                ),
                params=params,
                last_step=max(1, round(to_fraction * n_steps)),
                n_warmup=n_warmup_steps(training, n_steps),
                base_loss=self.base_loss,
            )
            return known_rung(trial) or train_trial(trial, self.foundation, on_step)

    def _identity_of(self, config: Config) -> Identity:
        search = config.hyperparameter
        settings = {
            **number_settings(config),
            "hyperparameter.validation_rows": search.validation_rows,
            "hyperparameter.seed": search.seed,
        }
        return {**self._identity, "settings": settings}


def _with_few_validation_rows(foundation: Foundation, config: Config) -> Foundation:
    search = config.hyperparameter
    few = choose_validation_rows(foundation.rows["val"], search.validation_rows, search.seed)
    return replace(foundation, rows={"train": foundation.rows["train"], "val": few})


def _measure_base(foundation: Foundation, config: Config) -> float:
    limit = TokenLimit(0, False, config.fine_tuning.training.micro_batch_tokens)
    rows = foundation.rows["val"]
    with memory_errors("while measuring the base", fix="choose a smaller model"):
        loss = MemoryLimit([limit], lambda _: None).fit(
            lambda tokens: mean_loss(foundation.base, rows, max_tokens=tokens),
            rows,
            0,
            in_training=False,
        )
    if not math.isfinite(loss):
        raise NotFiniteError(
            f"the validation loss of the base model is {loss}",
            fix="set fine_tuning.training.precision=fp32, or choose another model",
        )
    return loss


def _same_trial(
    trial_dir: Path, found: Mapping[str, Any] | None, identity: Identity
) -> Mapping[str, Any] | None:
    if found is None:
        return None
    changes = find_changes(found["identity"], identity)
    if changes:
        told = "; ".join(map(str, changes))
        logger.warning("%s holds another trial, which is replaced: %s", trial_dir, told)
    return None if changes else found


def _free_memory() -> None:
    """Let go of the adapter now: its modules point at each other, so nobody else does it soon."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
