"""What the search saved against training every trial to its end."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from gemtune.monitoring.durations import in_words
from gemtune.reporting.numbers import count, percent
from gemtune.reporting.study_files import Rung, Study, Trial


@dataclass(frozen=True, slots=True)
class Saving:
    """One kind of cost."""

    what: str
    used: str
    whole: str
    """What it would have been."""
    share: str
    """Saved of it."""


def savings(study: Study) -> list[Saving]:
    """Tokens, time and money of training; empty where nothing was measured.

    A trial that stopped is projected from its own pace; one that was never measured from the median
    of the others.
    """
    trials = [trial for trial in study.trials if trial.rungs]
    sound = {trial.number: rungs for trial in trials if (rungs := _sound(trial))}
    if not sound:
        return []
    tokens = _sum_whole(trials, {n: r[-1].n_tokens / r[-1].fraction for n, r in sound.items()})
    seconds = _sum_whole(trials, {n: _seconds(r) / r[-1].fraction for n, r in sound.items()})
    used_tokens = sum(trial.rungs[-1].n_tokens for trial in trials)
    used_seconds = sum(trial.seconds for trial in trials)
    found = [
        Saving("tokens", count(used_tokens), count(tokens), _share(used_tokens, tokens)),
        Saving(
            "time of training",
            in_words(used_seconds),
            in_words(seconds),
            _share(used_seconds, seconds),
        ),
    ]
    used_usd = [trial.usd for trial in trials if trial.usd is not None]
    if study.usd is not None and len(used_usd) == len(trials) and used_seconds:
        usd, whole_usd = sum(used_usd), sum(used_usd) * seconds / used_seconds
        shown = f"{usd:.2f} USD", f"{whole_usd:.2f} USD"
        found.append(Saving("money for training", *shown, _share(usd, whole_usd)))
    return found


def _sound(trial: Trial) -> list[Rung]:
    """The parts that were trained as far as their share says."""
    return [rung for rung in trial.rungs if rung.loss is not None]


def _seconds(rungs: Iterable[Rung]) -> float:
    return sum(rung.seconds for rung in rungs)


def _sum_whole(trials: Iterable[Trial], known: dict[int, float]) -> float:
    typical = median(known.values())
    return sum(known.get(trial.number, typical) for trial in trials)


def _share(used: float, whole: float) -> str:
    return percent(round(1 - used / whole, 2)) if whole else percent(0)
