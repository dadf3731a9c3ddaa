"""Training a setting anew, whole and with other seeds than the search used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gemtune.config.params import Params, create_config_from_params
from gemtune.config.schema import Config
from gemtune.fine_tuning.train import FinetuneResult, finetune_model


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
    data_dir: Path,
    output_dir: Path,
    config: Config,
    n_seeds: int,
    *,
    show_progress: bool,
) -> list[Refit]:
    """Train a setting with the seeds that follow the config's; finished runs stay as they are.

    The seed of the search is left out: with it the winner was lucky already.

    Args:
        contender: The setting.
        data_dir: Folder with the data.
        output_dir: Of the study; the runs go to `refits/` in it.
        config: What the study was started with.
        n_seeds: How many runs.
        show_progress: Report on stderr.
    """
    first = config.fine_tuning.training.seed + 1
    return [
        _train(contender, seed, data_dir, output_dir, config, show_progress=show_progress)
        for seed in range(first, first + n_seeds)
    ]


def best_refit(refits: Sequence[Refit]) -> Refit:
    """The one with the lowest validation loss: it is what a user gets."""
    return min(refits, key=lambda each: (each.loss, each.seed))


def _train(
    contender: Contender,
    seed: int,
    data_dir: Path,
    output_dir: Path,
    config: Config,
    *,
    show_progress: bool,
) -> Refit:
    run_dir = output_dir / "refits" / f"{contender.name}-seed-{seed}"
    wanted = with_seed(create_config_from_params(config, contender.params), seed)
    result = finetune_model(data_dir, run_dir, wanted, show_progress=show_progress)
    return Refit(seed, run_dir, _loss_of(result))


def with_seed(config: Config, seed: int) -> Config:
    """The config with another seed of training."""
    training = config.fine_tuning.training.model_copy(update={"seed": seed})
    fine_tuning = config.fine_tuning.model_copy(update={"training": training})
    return config.model_copy(update={"fine_tuning": fine_tuning})


def _loss_of(result: FinetuneResult) -> float:
    # A study has validation data, so its runs have a loss.
    assert result.best_loss is not None
    return result.best_loss
