"""Which hyperparameters mattered, and how sure that is."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, create_trial

from gemtune.hyperparameter.records import Trial

ENOUGH_TRIALS = 15
_FEWEST_TRIALS = 4
_N_RESAMPLES = 100
_CONFIDENCE = 0.9


def measure_importance(
    study: optuna.Study, trials: Sequence[Trial], seed: int
) -> dict[str, Any] | None:
    """PED-ANOVA over the losses at the first rung, the only ones that all trials have.

    Args:
        study: Has the trials in Optuna's form.
        trials: The same trials, by number.
        seed: Of the bootstrap over trials.

    Returns:
        `method`, `fraction` of the tokens at which losses were taken, `n_trials`, `is_enough`,
        `confidence`, and by name `params`: `importance`, `low`, `high`. None for fewer trials than
        any figure can be told from, or where nothing was searched.
    """
    found = study.get_trials(deepcopy=False)
    measured = [
        create_trial(
            params=found[trial.number].params,
            distributions=found[trial.number].distributions,
            value=trial.rungs[0].advance.loss,
        )
        for trial in trials
        if trial.rungs
    ]
    names = sorted(set.intersection(*(set(each.params) for each in measured))) if measured else []
    if len(measured) < _FEWEST_TRIALS or not names:
        return None
    shares = _importances(measured, names)
    random = np.random.default_rng(seed)
    draws = random.integers(len(measured), size=(_N_RESAMPLES, len(measured)))
    resampled = [_importances([measured[i] for i in draw], names) for draw in draws.tolist()]
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(np.array(resampled), [tail, 1 - tail], axis=0)
    return {
        "method": "PED-ANOVA",
        "fraction": next(trial.rungs[0].fraction for trial in trials if trial.rungs),
        "n_trials": len(measured),
        "is_enough": len(measured) >= ENOUGH_TRIALS,
        "confidence": _CONFIDENCE,
        "params": {
            name: {"importance": shares[i], "low": float(low[i]), "high": float(high[i])}
            for i, name in enumerate(names)
        },
    }


def _importances(trials: Sequence[FrozenTrial], names: Sequence[str]) -> list[float]:
    study = optuna.create_study()
    study.add_trials(list(trials))
    with warnings.catch_warnings():
        # Where too few trials differ the shares are equal, which the interval shows.
        warnings.simplefilter("ignore", UserWarning)
        shares = get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), params=list(names)
        )
    return [float(shares[name]) for name in names]
