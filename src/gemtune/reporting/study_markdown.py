"""The twin of a study's page for pull requests: the decision, its figures, the best trials."""

from gemtune.reporting.markdown_text import code, folded, plain, table
from gemtune.reporting.numbers import score, sentence
from gemtune.reporting.savings import savings
from gemtune.reporting.study_files import Proof, Study, Trial
from gemtune.reporting.study_verdict import cost_words, decide
from gemtune.reporting.study_words import GLYPHS, STATES, reached, role, settings

_SYMBOLS = {"better": "\u2705", "worse": "\u274c", "equal": "\u2248", "open": "\u2754"}
_N_TRIALS = 50
_MAX_COMMAND = 2_000


def study_markdown(study: Study, name: str) -> str:
    """Write a study as GitHub's Markdown; text from elsewhere stays text."""
    decision = decide(study)
    parts = [
        f"## {_SYMBOLS[decision.tone]} {plain(decision.headline)}",
        f"Search for hyperparameters in {code(name)}",
        *(plain(words) for words in decision.lead),
        plain(cost_words(study)),
        *_kept(study),
        *(plain(sentence(edge.told)) for edge in study.edges),
        *(_bias(study.proof) if study.proof else []),
        _saved(study),
        *_trials(study),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kept(study: Study) -> list[str]:
    if study.best_params is None:
        return []
    lines = [f"Settings: {code(settings(study.best_params))}"]
    if study.reproduce:
        lines += ["This command trains it again:", code(study.reproduce, _MAX_COMMAND)]
    return lines


def _bias(proof: Proof) -> list[str]:
    return [plain(sentence(proof.selection_bias))] if proof.selection_bias else []


def _saved(study: Study) -> str:
    rows = [(each.what, each.used, each.whole, each.share) for each in savings(study)]
    header = ("cost of trials", "used", "all trained to the end", "saved")
    return table(header, rows) if rows else ""


def _trials(study: Study) -> list[str]:
    """The best first; at least those that came to the end."""
    ranked = sorted(study.trials, key=_by_progress)[:_N_TRIALS]
    rows = [
        (
            f"{trial.number} {role(trial, study)}".strip(),
            f"{GLYPHS[trial.state]} {STATES[trial.state]}",
            score(trial.loss, 4),
            reached(trial),
            code(settings(trial.params)),
            plain(trial.reason or ""),
        )
        for trial in ranked
    ]
    left = len(study.trials) - len(ranked)
    title = "Trials" if not left else f"The best {len(ranked)} trials; {left} more are on the page"
    header = ("trial", "state", "loss", "reached", "settings", "why it stopped")
    return [folded(title, table(header, rows))] if rows else []


def _by_progress(trial: Trial) -> tuple[float, float, int]:
    fraction = trial.rungs[-1].fraction if trial.rungs else 0.0
    loss = float("inf") if trial.loss is None else trial.loss
    return -fraction, loss, trial.number
