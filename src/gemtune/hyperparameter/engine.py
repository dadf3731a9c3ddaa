"""Trials on one base: loaded once, every trial puts an adapter of its own on it."""

import gc
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gemtune.config.params import Params
from gemtune.config.schema import Config
from gemtune.data.files import DataFiles
from gemtune.errors import ArtefactError, DataError
from gemtune.fine_tuning.foundation import Foundation, load_foundation
from gemtune.fine_tuning.gradient_request import Asking, answer_alone
from gemtune.fine_tuning.identity import Identity, describe_identity, find_changes, number_settings
from gemtune.fine_tuning.job import Job
from gemtune.fine_tuning.loop import OnStep
from gemtune.fine_tuning.optimizer import n_warmup_steps
from gemtune.fine_tuning.plan import plan_run
from gemtune.hyperparameter.advance import Advance, Errand
from gemtune.hyperparameter.base_loss import measure_base
from gemtune.hyperparameter.packing.choice import Choice
from gemtune.hyperparameter.packing.decide import decide_packing
from gemtune.hyperparameter.packing.pack import train_together
from gemtune.hyperparameter.trial import Trial, known_rung, train_trial
from gemtune.hyperparameter.trial_config import trial_config
from gemtune.hyperparameter.validation_rows import choose_validation_rows
from gemtune.runs.run import open_run

logger = logging.getLogger(__name__)


class TrialEngine:
    """Trains the trials of a study; made once in a process.

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
        self.base_loss = measure_base(self.foundation, config)
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
            reached = answer_alone(self._asking(Errand(params, trial_dir, to_fraction, on_step)))
        finally:
            _free_memory()
        return replace(reached, seconds=time.perf_counter() - started)

    @cached_property
    def packing(self) -> Choice:
        """How many trials share passes through the base, found out when it is first asked."""
        try:
            return decide_packing(self._config, self.foundation)
        finally:
            _free_memory()

    @property
    def n_together(self) -> int:
        """How many trials are trained at the same time."""
        return self.packing.n_together

    def advance_together(self, errands: Sequence[Errand]) -> list[Advance]:
        """Do what `advance` does for several trials; those on the same layers share their passes.

        What a trial reaches is what it reaches alone, up to rounding; its folder is in the same
        shape, and it can go on in another pack, or alone. The seconds of a pack are divided evenly.

        Raises:
            GemtuneError: what one of the trials raised; the others are parked.
        """
        reached: dict[int, Advance] = {}
        for group in self._on_same_layers(errands):
            started = time.perf_counter()
            try:
                found = train_together(
                    self.foundation.base, [self._asking(errands[number]) for number in group]
                )
            finally:
                _free_memory()
            seconds = (time.perf_counter() - started) / len(group)
            reached |= {
                number: replace(advance, seconds=seconds)
                for number, advance in zip(group, found, strict=True)
            }
        return [reached[number] for number in range(len(errands))]

    def _on_same_layers(self, errands: Sequence[Errand]) -> Iterable[list[int]]:
        groups: dict[str, list[int]] = {}
        for number, errand in enumerate(errands):
            lora = trial_config(self._config, errand.params).fine_tuning.lora
            groups.setdefault(repr(lora.target_modules), []).append(number)
        return groups.values()

    def _asking(self, errand: Errand) -> Asking[Advance]:
        try:
            return (yield from self._try(errand, overwrite=False))
        except ArtefactError as error:
            logger.warning("%s; this trial begins anew", error)
        return (yield from self._try(errand, overwrite=True))

    def _try(self, errand: Errand, *, overwrite: bool) -> Asking[Advance]:
        params, trial_dir = errand.params, errand.trial_dir
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
                last_step=max(1, round(errand.to_fraction * n_steps)),
                n_warmup=n_warmup_steps(training, n_steps),
                base_loss=self.base_loss,
            )
            known = known_rung(trial)
            if known:
                return known
            return (yield from train_trial(trial, self.foundation, errand.on_step))

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
