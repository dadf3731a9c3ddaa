"""What a search decided, in sentences for people who know no statistics."""

from dataclasses import dataclass

from gemtune.monitoring.durations import in_words
from gemtune.reporting.numbers import count, interval, percent, score, signed
from gemtune.reporting.study_files import Proof, Study
from gemtune.reporting.study_words import STATES, parameter

_LOSS_DIGITS = 4
_MANY = 10.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The first thing a reader sees."""

    badge: str
    tone: str
    """Class of the style sheet: `better`, `worse`, `equal` or `open`."""
    glyph: str
    headline: str
    lead: tuple[str, ...]


_UNFINISHED = {
    "searching": "The search goes on or was broken off; nothing is decided yet.",
    "choosing": "The trials are done; which of them wins is not settled yet.",
    "proving": "A winner is chosen; whether it is better than the default is not known yet.",
}
_NO_TRIAL = "No trial came to its end, so there is nothing to choose from."


def decide(study: Study) -> Decision:
    """Say what was decided, and why."""
    if study.proof:
        return _decided(study, study.proof)
    reason = study.budget.stopped
    lead = () if reason is None else (f"The search stopped: {reason}.",)
    if study.trials and study.n_in_state("ended") == len(study.trials):
        advice = "Look at the reasons below, at the data, and at the learning rates."
        return Decision("no winner", "worse", "\u2715", _NO_TRIAL, (*lead, advice))
    headline = _UNFINISHED.get(study.status, _NO_TRIAL)
    return Decision("not finished", "open", "\u25cb", headline, (*lead, *_so_far(study)))


def digits_of(*values: float | None) -> int:
    """Decimals of a score: fewer for those that count to a hundred."""
    return 2 if any(value is not None and abs(value) >= _MANY for value in values) else 3


def gain_words(proof: Proof) -> str | None:
    """The gain on the test data with its interval; None where nothing was compared."""
    if proof.difference is None or proof.low is None or proof.high is None:
        return None
    digits = digits_of(proof.default_score, proof.winner_score)
    return (
        f"{proof.metric} on {count(proof.n_rows)} test rows: "
        f"{score(proof.default_score, digits)} with the default, "
        f"{score(proof.winner_score, digits)} with the winner, "
        f"{signed(proof.difference, digits)} ({percent(proof.confidence or 0)} interval "
        f"{interval(proof.low, proof.high, digits)})."
    )


def cost_words(study: Study) -> str:
    """What everything took: time, money, trials by how they ended."""
    spent = study.budget.spent
    told = f"It took {in_words(spent.wall_seconds)}"
    if round(spent.machine_seconds) > round(spent.wall_seconds):
        n_processes = len(study.budget.sessions)
        told += f" ({in_words(spent.machine_seconds)} summed over {n_processes} processes)"
    told += f" and {study.usd:.2f} USD" if study.usd is not None else ""
    states = [
        f"{count(n)} {words}" for state, words in STATES.items() if (n := study.n_in_state(state))
    ]
    trials = f"{count(len(study.trials))} of {count(study.n_trials)} trials"
    return f"{told}, for {trials}{': ' if states else ''}{', '.join(states)}."


def _decided(study: Study, proof: Proof) -> Decision:
    winner = f"Trial {study.winner.trial}" if study.winner else "The winner"
    gain = gain_words(proof)
    evidence = (gain,) if gain else ()
    match proof.outcome:
        case "proven":
            headline = f"{winner} is better than the default, and the gain is proven."
            lead = (*evidence, f"Its settings are kept: {_changes(study)}.")
            return Decision("proven", "better", "\u25b2", headline, lead)
        case "not proven" if proof.verdict == "regressed":
            headline = f"{winner} won the search and lost on the test data; the default is kept."
            lead = (*evidence, f"It had {_changes(study)}.")
            return Decision("worse than the default", "worse", "\u25bc", headline, lead)
        case "not proven":
            headline = f"{winner} won the search, but its gain is not proven; the default is kept."
            lead = (*evidence, f"It has {_changes(study)}.")
            return Decision("not proven", "equal", "\u2248", headline, lead)
        case "default is best":
            headline = "The default is the best setting that was found; it is kept."
            lead = ("It was the winner of the search itself, so there was nothing to prove.",)
            return Decision("default is best", "equal", "\u2248", headline, lead)
        case "no test data":
            headline = "There is no test data, so no gain is proven; the default is kept."
            lead = (
                "The validation data chose the winner and cannot prove it. Add rows that are in no "
                "other split as test.jsonl and run the same command again.",
            )
            return Decision("not proven", "open", "\u25cb", headline, lead)


def _changes(study: Study) -> str:
    """Where the winner differs from the default."""
    winner, default = study.winner.params if study.winner else {}, study.default or {}
    told = [
        f"{name} {parameter(value)} instead of {parameter(default.get(name))}"
        for name, value in winner.items()
        if value != default.get(name)
    ]
    return ", ".join(told) or "the settings of the default"


def _so_far(study: Study) -> tuple[str, ...]:
    if not study.best_so_far:
        return ()
    best = study.best_so_far[-1]
    return (
        f"Lowest validation loss so far: {score(best.loss, _LOSS_DIGITS)}, of trial {best.trial}.",
    )
