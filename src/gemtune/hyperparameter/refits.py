"""Training a setting anew, whole and with other seeds than the search used."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gemtune.config.params import Params, create_config_from_params
from gemtune.config.schema import Config
from gemtune.fine_tuning.train import FinetuneResult, finetune_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contender:
    """A setting that is trained again."""

    name: str
    """`trial-0007`, or `default`."""
    params: Params


@dataclass(frozen=True, slots=True)
class Refit:
    """A run of a contender."""

    seed: int
    run_dir: Path
    loss: float
    """Lowest validation loss, on all validation rows."""


def refit(
    contender: Contender,
    n_before: int,
    data_dir: Path,
    output_dir: Path,
    config: Config,
    *,
    show_progress: bool,
) -> Refit:
    """Train a setting with the next of the seeds that follow the config's; a finished run stays.

    The seed of the search is left out: with it the winner was lucky already.

    Args:
        contender: The setting.
        n_before: Seeds it was trained with before.
        data_dir: Folder with the data.
        output_dir: Of the study; the runs go to `refits/` in it.
        config: What the study was started with.
        show_progress: Report on stderr.
    """
    seed = config.fine_tuning.training.seed + 1 + n_before
    run_dir = output_dir / "refits" / f"{contender.name}-seed-{seed}"
    wanted = with_seed(create_config_from_params(config, contender.params), seed)
    logger.info("refit of %s with seed %d", contender.name, seed)
    result = finetune_model(data_dir, run_dir, wanted, show_progress=show_progress)
    return Refit(seed, run_dir, _loss_of(result))


def best_refit(refits: Sequence[Refit]) -> Refit:
    """The one with the lowest validation loss: it is what a user gets."""
    return min(refits, key=lambda each: (each.loss, each.seed))


def with_seed(config: Config, seed: int) -> Config:
    """The config with another seed of training."""
    training = config.fine_tuning.training.model_copy(update={"seed": seed})
    fine_tuning = config.fine_tuning.model_copy(update={"training": training})
    return config.model_copy(update={"fine_tuning": fine_tuning})


def _loss_of(result: FinetuneResult) -> float:
    # A study has validation data, so its runs have a loss.
    assert result.best_loss is not None
    return result.best_loss
