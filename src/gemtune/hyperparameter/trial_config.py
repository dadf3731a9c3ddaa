"""The settings that a trial is trained with."""

from gemtune.config.params import Params, create_config_from_params
from gemtune.config.schema import Config


def trial_config(config: Config, params: Params) -> Config:
    """The user's config with the hyperparameters of a trial, without what only whole runs have.

    Whether a trial goes on is decided at the rungs, and the report of the study shows its curve.
    """
    trial = create_config_from_params(config, params)
    training = trial.fine_tuning.training.model_copy(update={"early_stopping_patience": None})
    return trial.model_copy(
        update={
            "fine_tuning": trial.fine_tuning.model_copy(update={"training": training}),
            "monitoring": trial.monitoring.model_copy(update={"tensorboard": False}),
        }
    )
