"""What a trial is trained with, besides its hyperparameters."""

from gemtune.config.load import load_config
from gemtune.hyperparameter.trial_config import trial_config


def test_a_trial_stops_at_rungs_only_and_keeps_what_the_user_set() -> None:
    config = load_config(
        (), ("fine_tuning.training.early_stopping_patience=1", "fine_tuning.training.seed=7")
    )
    trial = trial_config(config, {"learning_rate": 3e-4})
    assert trial.fine_tuning.training.early_stopping_patience is None
    assert not trial.monitoring.tensorboard
    assert (trial.fine_tuning.training.seed, trial.fine_tuning.training.learning_rate) == (7, 3e-4)
    assert trial.data == config.data
