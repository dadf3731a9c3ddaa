"""Trials in words and signs, so that nothing has to be told by colour alone."""

from gemtune.reporting.numbers import figure, percent
from gemtune.reporting.study_files import Param, Params, Study, Trial

GLYPHS = {
    "complete": "\u25cf",
    "pruned": "\u25cb",
    "ended": "\u2715",
    "running": "\u2026",
}
STATES = {
    "complete": "complete",
    "pruned": "stopped early",
    "ended": "failed",
    "running": "not finished",
}
SOURCES = {
    "config": "your config",
    "plan": "classic example",
    "evidence": "default by evidence",
    "sampler": "sampler",
}


def parameter(value: Param) -> str:
    """A hyperparameter as text."""
    match value:
        case None:
            return "\u2013"
        case list():
            return ", ".join(value)
        case int() | float():
            return figure(value)
        case _:
            return value


def settings(params: Params) -> str:
    """A whole setting in one line."""
    return ", ".join(f"{name} {parameter(value)}" for name, value in params.items())


def reached(trial: Trial) -> str:
    """How far a trial came."""
    return share_of_tokens(trial.rungs[-1].fraction) if trial.rungs else "\u2013"


def share_of_tokens(fraction: float) -> str:
    """A share of a trial's tokens in whole percents."""
    return percent(round(fraction, 2))


def role(trial: Trial, study: Study) -> str:
    """What a trial is besides a trial: `winner`, `default`, or nothing."""
    if study.winner and trial.number == study.winner.trial:
        return "winner"
    return "default" if trial is study.default_trial else ""
