"""A trial as the study records it, whoever trained it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from gemtune.config.params import Param
from gemtune.hyperparameter.advance import Advance

State = Literal["running", "complete", "pruned", "ended"]

# Of Optuna's trials; what is in them is seen in every viewer of Optuna studies.
PARAMS, SOURCE, GROUP, GROUP_SIZE = "params", "source", "group", "group_size"
RUNGS, ENDED = "rungs", "ended"

_STATES: Mapping[TrialState, State] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "ended",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """What was measured when a trial had used this share of its token budget."""

    fraction: float
    advance: Advance


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting, and how far it came."""

    number: int
    params: Mapping[str, Param]
    """All hyperparameters, those included that are not searched."""
    source: str
    """Who asked for it: `config`, `plan`, `evidence` or `sampler`."""
    group: int
    """Trials of a group are compared with each other."""
    group_size: int
    state: State
    rungs: tuple[Rung, ...]
    ended: str | None
    """Why a trial that failed did."""
    key: int
    """Optuna's, unique in the database."""

    @property
    def loss(self) -> float | None:
        """At the last rung that it reached; None before the first."""
        return self.rungs[-1].advance.loss if self.rungs else None


def read_trials(study: Study) -> list[Trial]:
    """All trials of a study, by number."""
    return [_read(trial) for trial in study.get_trials(deepcopy=False)]


def rungs_as_json(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """The rungs as they are kept with a trial."""
    return [
        {
            "fraction": rung.fraction,
            "n_steps": rung.advance.n_steps,
            "n_tokens": rung.advance.n_tokens,
            "loss": rung.advance.loss,
            "seconds": rung.advance.seconds,
        }
        for rung in rungs
    ]


def _read(trial: FrozenTrial) -> Trial:
    about = trial.user_attrs
    rungs = (
        Rung(
            each["fraction"],
            Advance(each["n_steps"], each["n_tokens"], each["loss"], each["seconds"]),
        )
        for each in about.get(RUNGS, [])
    )
    return Trial(
        number=trial.number,
        params=about[PARAMS],
        source=about[SOURCE],
        group=about[GROUP],
        group_size=about[GROUP_SIZE],
        state=_STATES[trial.state],
        rungs=tuple(rungs),
        ended=about.get(ENDED),
        key=trial._trial_id,
    )
